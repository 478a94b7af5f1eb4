import { PostgresStore } from '../../lib/scheduler/index.js';
import type { History } from './history.js';
import type { Record } from './record.js';
import { sizeOf, totalOf, type Tree } from './trees.js';

/** What must not have happened, one line each. */
export function judgeAnswers(history: History, trees: readonly Tree[]): string[] {
  const wrong = [...history.deaths];
  for (const [root, tree] of trees.entries()) {
    const ids = [...(history.acknowledged.get(root) ?? [])];
    const [id = ''] = ids;
    if (ids.length !== 1) wrong.push(`root ${root} was acknowledged as ${ids.length} calls: ${ids.join(', ')}`);
    const expected = JSON.stringify({ total: totalOf(tree), token: String(root) });
    const answers = history.answers.get(id) ?? new Map<string, Set<number>>();
    if (answers.size === 0) wrong.push(`nobody was told the result of root ${root}, ${id}`);
    for (const [answer, machines] of answers) {
      if (answer === expected) continue;
      wrong.push(`machines ${[...machines].join(', ')} gave ${answer} for root ${root}, ${id}, instead of ${expected}`);
    }
  }
  return wrong;
}

/** The same of what is recorded, once all processes have ended in order. */
export async function judgeRecord(record: Record, trees: readonly Tree[]): Promise<string[]> {
  const { store, schema } = record;
  const calls = trees.reduce((sum, tree) => sum + sizeOf(tree), 0);
  const wrong: string[] = [];
  const expect = async (what: string, expected: number, rows: string): Promise<void> => {
    const found = await record.count(rows);
    if (found !== expected) wrong.push(`${what}: ${found} instead of ${expected}`);
  };
  await expect('calls that are stored', calls, `${store}.calls`);
  await expect('calls that have not ended', 0, `${store}.calls WHERE finished_at IS NULL`);
  await expect('ends that were recorded', calls, `${schema}.finishes`);
  await expect(
    'calls whose end was recorded more than once',
    0,
    `(SELECT id FROM ${schema}.finishes GROUP BY id HAVING count(*) > 1) AS twice`,
  );
  await expect(
    'ends that a process has recorded which counted as dead',
    0,
    `${schema}.finishes AS finish JOIN ${store}.processes AS process ON process.id = finish.owner WHERE finish.at > process.ended_at`,
  );
  await expect(
    'calls that have ended without having run',
    0,
    `${store}.calls AS call WHERE NOT EXISTS (SELECT FROM ${schema}.effects WHERE effects.call = call.id)`,
  );
  await expect(
    'calls that have run and are not stored',
    0,
    `(SELECT DISTINCT call FROM ${schema}.effects) AS run WHERE NOT EXISTS (SELECT FROM ${store}.calls WHERE id = run.call)`,
  );
  await expect(
    'calls that were made under several ids',
    0,
    `(SELECT path FROM ${schema}.effects GROUP BY path HAVING count(DISTINCT call) > 1) AS several`,
  );
  return wrong;
}

/** What processes leave behind is removed by one that starts a day later. */
export async function judgeLeftovers(record: Record): Promise<string[]> {
  await record.age();
  const sweeper = new PostgresStore(record.url);
  await sweeper.open();
  await sweeper.close();
  return record.leftovers();
}
