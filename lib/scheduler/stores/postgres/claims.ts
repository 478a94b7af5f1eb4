import { fromBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { BranchCall, ClaimableFunctions, DispatchId, FunctionKey, Recovery } from '../../store.js';
import * as arrays from './arrays.js';
import { rollBack, type Committer } from './committer.js';
import type { Connection, SqlRow, SqlValue, Statement } from './connection.js';
import type { KeyLines } from './key.lines.js';
import { bytesOf, callRow, correlationId, number, text } from './rows.js';
import type { Statements } from './statements.js';

/** Plans of statements are kept, whatever the parameters: to plan a claim anew costs more than to carry it out. */
const BEGIN = 'BEGIN; SET LOCAL plan_cache_mode = force_generic_plan';
/** How lines of keys are read depends on how many there are. */
const PLAN_BY_PARAMETERS = 'SET LOCAL plan_cache_mode TO DEFAULT';

/** Mutations of this process, after which plans are made again for the first time. */
const FIRST_GROWTH = 1_000;

const NOTHING: Recovery = { calls: [], undelivered: [], inFlight: [] };

export interface ClaimsParts {
  readonly statements: Statements;
  readonly committer: Committer;
  readonly keyLines: KeyLines;
  readonly process: number;
  /** Declares processes dead on this connection, so that what they had is claimed. */
  readonly judge: (connection: Connection) => Promise<void>;
}

/** Calls that branches begin with, and that are locked. */
interface Heads {
  readonly ids: readonly DispatchId[];
  /** Others were there, which have been set aside. */
  readonly isWithoutSome: boolean;
}

/** Takes over branches of calls that no living process has. */
export class Claims {
  private plannedUntil = FIRST_GROWTH;

  constructor(private readonly parts: ClaimsParts) {}

  /** @param functions undefined: whatever the function */
  async claim(limit: number, functions: ClaimableFunctions | undefined): Promise<Recovery> {
    for (;;) {
      const claimed = await this.claimOnce(limit, functions);
      // There may be others behind those that wait for a key.
      if (claimed !== 'set aside') return claimed;
    }
  }

  private claimOnce(limit: number, functions: ClaimableFunctions | undefined): Promise<Recovery | 'set aside'> {
    const { committer, judge } = this.parts;
    return committer.inTurn(async (connection) => {
      const begun = Promise.all([judge(connection), this.renewPlans(connection), connection.script(BEGIN)]);
      try {
        const { ids, isWithoutSome } = await this.findHeads(connection, begun, limit, functions);
        if (ids.length > 0) return await this.takeOver(connection, ids);
        if (!isWithoutSome) {
          await connection.query('ROLLBACK');
          return NOTHING;
        }
        await committer.fence(connection);
        await committer.end(connection);
        return 'set aside';
      } catch (error) {
        await rollBack(connection);
        throw error;
      }
    });
  }

  /** Plans suit the sizes that tables had. They are made again whenever this process has written twice as much as before. */
  private async renewPlans(connection: Connection): Promise<void> {
    const { written } = this.parts.committer;
    if (written < this.plannedUntil) return;
    this.plannedUntil = 2 * written;
    await connection.query('DISCARD PLANS');
  }

  /** Locks them, so that of two processes that look for work each finds others. */
  private async findHeads(
    connection: Connection,
    begun: Promise<unknown>,
    limit: number,
    functions: ClaimableFunctions | undefined,
  ): Promise<Heads> {
    const { statements, process } = this.parts;
    const look = async (statement: Statement, values: readonly SqlValue[] = []): Promise<readonly SqlRow[]> =>
      (await connection.run(statement, [limit, ...values])).rows;
    const fair = [process, ...parametersOf(functions, limit)];
    const [turns, cancelled, expired, ended] = await Promise.all([
      look(statements.claimHeads, fair),
      look(statements.claimCancelled),
      look(statements.claimExpired),
      look(statements.claimEndedHeads),
      begun,
    ]);
    // Those whose turn it was may be in other hands by now.
    const ready = turns.length > 0 ? turns : await look(statements.claimAnyHeads, fair);
    const keys = ready.flatMap(keyOf);
    const aside = new Set(keys.length === 0 ? [] : await this.setAside(connection, keys));
    const found = new Set(ready.map(idOf).filter((id) => !aside.has(id)));
    for (const row of [...cancelled, ...expired, ...ended]) found.add(idOf(row));
    // Those that were looked for together may be too many together.
    return { ids: [...found].slice(0, limit), isWithoutSome: aside.size > 0 };
  }

  private async setAside(connection: Connection, keys: readonly FunctionKey[]): Promise<DispatchId[]> {
    await connection.script(PLAN_BY_PARAMETERS);
    return this.parts.keyLines.setAside(connection, keys);
  }

  private async takeOver(connection: Connection, heads: readonly DispatchId[]): Promise<Recovery> {
    const { statements, committer, process } = this.parts;
    const branches = arrays.texts(heads);
    const [, taken, undelivered, others, inFlight] = await Promise.all([
      committer.fence(connection),
      connection.run(statements.takeOver, [process, branches]),
      connection.run(statements.undeliveredInBranches, [process, branches]),
      connection.run(statements.branchesOfBranches, [process, branches]),
      connection.run(statements.inFlight, [process, branches]),
    ]);
    const rows = [...taken.rows].sort((a, b) => number(a[0]) - number(b[0]));
    const calls = rows.map(callRow);
    const keyed = calls.flatMap(({ header }) => (header.key === '' ? [] : header.id));
    const holders = keyed.length === 0 ? undefined : await connection.run(statements.keyHolders, [arrays.texts(keyed)]);
    const ending = committer.end(connection);
    // Whoever asks for a cancellation from now on tells this process.
    const cancels = connection.run(statements.requestedCancels, [process]).catch(() => undefined);
    await ending;
    const toCancel = await cancels;
    return {
      calls,
      withKey: holders?.rows.map(idOf) ?? [],
      inputs: inputsOf(rows),
      undelivered: undelivered.rows.map(undeliveredOf),
      inFlight: inFlight.rows.map(idOf),
      branches: others.rows.map(branchOf),
      toCancel: toCancel?.rows.map(idOf) ?? [],
    };
  }
}

const idOf = ([id]: SqlRow): DispatchId => text(id);

/** Where calls are found for their turn, their functions and keys come with them. */
function keyOf([, endpoint, name, key]: SqlRow): FunctionKey[] {
  if (key === undefined || key === '') return [];
  return [{ endpoint: text(endpoint), function: text(name), key: text(key) }];
}

/** The last column is the input, where it is small. */
function inputsOf(rows: readonly SqlRow[]): Map<DispatchId, Any> {
  const inputs = new Map<DispatchId, Any>();
  for (const row of rows) {
    const input = bytesOf(row.at(-1));
    if (input) inputs.set(text(row[1]), fromBinary(AnySchema, input));
  }
  return inputs;
}

export function undeliveredOf(row: SqlRow): Recovery['undelivered'][number] {
  return { id: text(row[0]), parentId: text(row[1]), correlationId: correlationId(row[2]), inbox: number(row[3]) };
}

export function branchOf(row: SqlRow): BranchCall {
  return {
    id: text(row[0]),
    parentId: text(row[1]),
    correlationId: correlationId(row[2]),
    parentIncarnation: number(row[3]),
  };
}

/** Without functions no endpoint is said to have only some: all are claimed. */
function parametersOf(functions: ClaimableFunctions | undefined, limit: number): SqlValue[] {
  const known = functions?.functions ?? [];
  return [
    arrays.texts(functions?.endpoints ?? []),
    arrays.texts(known.map((fn) => fn.endpoint)),
    arrays.texts(known.map((fn) => fn.function)),
    arrays.numbers(known.map((fn) => Math.min(limit, fn.most ?? limit))),
  ];
}
