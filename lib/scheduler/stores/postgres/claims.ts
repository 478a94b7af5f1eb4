import { fromBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { ClaimableFunctions, DispatchId, Recovery } from '../../store.js';
import * as arrays from './arrays.js';
import type { Committer } from './committer.js';
import type { Connection, SqlRow, SqlValue, Statement } from './connection.js';
import { bytesOf, callRow, correlationId, number, text } from './rows.js';
import type { Statements } from './statements.js';

const NOTHING: Recovery = { calls: [], undelivered: [], inFlight: [] };

/** Takes over trees of calls that no living process has. */
export class Claims {
  constructor(
    private readonly statements: Statements,
    private readonly committer: Committer,
    private readonly process: number,
  ) {}

  /** @param functions undefined: whatever the function */
  claim(limit: number, functions: ClaimableFunctions | undefined): Promise<Recovery> {
    return this.committer.inTurn(async (connection) => {
      await connection.query('BEGIN');
      try {
        const roots = await this.findRoots(connection, limit, functions);
        if (roots.length > 0) return await this.takeOver(connection, roots);
        await connection.query('ROLLBACK');
        return NOTHING;
      } catch (error) {
        if (!connection.isLost) await connection.query('ROLLBACK').catch(() => undefined);
        throw error;
      }
    });
  }

  /** Locks the roots, so that of two processes that look for work each finds other roots. */
  private async findRoots(
    connection: Connection,
    limit: number,
    functions: ClaimableFunctions | undefined,
  ): Promise<DispatchId[]> {
    const { statements } = this;
    const found = new Set<DispatchId>();
    const look = async (statement: Statement, values: readonly SqlValue[] = []): Promise<void> => {
      if (found.size >= limit) return;
      const { rows } = await connection.run(statement, [...values, limit - found.size]);
      for (const row of rows) found.add(text(row[0]));
    };
    const fair = parametersOf(functions, limit);
    await look(statements.claimRoots, fair);
    // Those whose turn it was are in other hands by now.
    if (found.size === 0) await look(statements.claimAnyRoots, fair);
    await look(statements.claimCancelled);
    await look(statements.claimEndedRoots);
    return [...found];
  }

  private async takeOver(connection: Connection, roots: readonly DispatchId[]): Promise<Recovery> {
    const { statements, committer, process } = this;
    const trees = arrays.texts(roots);
    await committer.fence(connection);
    const taken = await connection.run(statements.takeOver, [process, trees]);
    const rows = [...taken.rows].sort((a, b) => number(a[0]) - number(b[0]));
    const calls = rows.map(callRow);
    const ids = arrays.texts(calls.map(({ header }) => header.id));
    const undelivered = await connection.run(statements.undeliveredInTrees, [process, trees]);
    const inFlight = await connection.run(statements.inFlight, [ids]);
    await committer.end(connection);
    return {
      calls,
      inputs: inputsOf(rows),
      undelivered: undelivered.rows.map(undeliveredOf),
      inFlight: inFlight.rows.map((row) => text(row[0])),
    };
  }
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
