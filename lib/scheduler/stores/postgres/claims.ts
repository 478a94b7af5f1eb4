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

const NOTHING: Recovery = { calls: [], undelivered: [], inFlight: [] };

export interface ClaimsParts {
  readonly statements: Statements;
  readonly committer: Committer;
  readonly keyLines: KeyLines;
  readonly process: number;
}

/** Calls that branches begin with, and that are locked. */
interface Heads {
  readonly ids: readonly DispatchId[];
  /** Others were there, which have been set aside. */
  readonly isWithoutSome: boolean;
}

/** Takes over branches of calls that no living process has. */
export class Claims {
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
    const { committer } = this.parts;
    return committer.inTurn(async (connection) => {
      const begun = connection.query('BEGIN');
      try {
        const [{ ids, isWithoutSome }] = await Promise.all([this.findHeads(connection, limit, functions), begun]);
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

  /** Locks them, so that of two processes that look for work each finds others. */
  private async findHeads(
    connection: Connection,
    limit: number,
    functions: ClaimableFunctions | undefined,
  ): Promise<Heads> {
    const { statements, keyLines, process } = this.parts;
    const found = new Set<DispatchId>();
    const keys: FunctionKey[] = [];
    const look = async (statement: Statement, values: readonly SqlValue[] = []): Promise<void> => {
      if (found.size >= limit) return;
      const { rows } = await connection.run(statement, [limit - found.size, ...values]);
      // Those that are looked for together may be too many together.
      for (const row of rows.slice(0, limit - found.size)) {
        found.add(text(row[0]));
        keys.push(...keyOf(row));
      }
    };
    const fair = [process, ...parametersOf(functions, limit)];
    await look(statements.claimHeads, fair);
    // Those whose turn it was are in other hands by now.
    if (found.size === 0) await look(statements.claimAnyHeads, fair);
    const aside = keys.length === 0 ? [] : await keyLines.setAside(connection, keys);
    for (const id of aside) found.delete(id);
    await Promise.all([
      look(statements.claimCancelled),
      look(statements.claimExpired),
      look(statements.claimEndedHeads),
    ]);
    return { ids: [...found], isWithoutSome: aside.length > 0 };
  }

  private async takeOver(connection: Connection, heads: readonly DispatchId[]): Promise<Recovery> {
    const { statements, committer, process } = this.parts;
    const branches = arrays.texts(heads);
    const [, taken, undelivered, others] = await Promise.all([
      committer.fence(connection),
      connection.run(statements.takeOver, [process, branches]),
      connection.run(statements.undeliveredInBranches, [process, branches]),
      connection.run(statements.branchesOfBranches, [process, branches]),
    ]);
    const rows = [...taken.rows].sort((a, b) => number(a[0]) - number(b[0]));
    const calls = rows.map(callRow);
    const ids = arrays.texts(calls.map(({ header }) => header.id));
    const keyed = calls.flatMap(({ header }) => (header.key === '' ? [] : header.id));
    const [inFlight, holders] = await Promise.all([
      connection.run(statements.inFlight, [ids]),
      keyed.length === 0 ? undefined : connection.run(statements.keyHolders, [arrays.texts(keyed)]),
    ]);
    await committer.end(connection);
    return {
      calls,
      withKey: holders?.rows.map((row) => text(row[0])) ?? [],
      inputs: inputsOf(rows),
      undelivered: undelivered.rows.map(undeliveredOf),
      inFlight: inFlight.rows.map((row) => text(row[0])),
      branches: others.rows.map(branchOf),
    };
  }
}

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
