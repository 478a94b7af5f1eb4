import type { DispatchId, KeyedCall } from '../../store.js';
import * as arrays from './arrays.js';
import { rollBack, type Committer } from './committer.js';
import type { Connection } from './connection.js';
import { text } from './rows.js';
import type { Statements } from './statements.js';

/** What a notification about a key begins with. */
export const KEY_GIVEN = 'key ';

/** The lines in which calls of all processes wait for their keys. */
export class KeyLines {
  constructor(
    private readonly statements: Statements,
    private readonly committer: Committer,
    private readonly process: number,
  ) {}

  /** @returns calls of this process that have these keys */
  share(wanting: readonly KeyedCall[], leaving: readonly KeyedCall[]): Promise<DispatchId[]> {
    return this.committer.inTurn(async (connection) => {
      try {
        const given = await this.send(connection, wanting, leaving);
        await this.committer.end(connection);
        return given;
      } catch (error) {
        await rollBack(connection);
        throw error;
      }
    });
  }

  /** Under a lock of each key: of two processes that want the last place one comes after the other. */
  private async send(
    connection: Connection,
    wanting: readonly KeyedCall[],
    leaving: readonly KeyedCall[],
  ): Promise<DispatchId[]> {
    const { statements, committer, process } = this;
    const keys = keysOf([...wanting, ...leaving]);
    const columns = [
      arrays.texts(keys.map(({ endpoint }) => endpoint)),
      arrays.texts(keys.map((key) => key.function)),
      arrays.texts(keys.map(({ key }) => key)),
    ];
    const [, , , , , , given] = await Promise.all([
      connection.query('BEGIN'),
      committer.fence(connection),
      connection.run(statements.lockKeys, columns),
      connection.run(statements.clearKeys, columns),
      connection.run(statements.enlist, [process, arrays.texts(wanting.map(({ id }) => id))]),
      connection.run(statements.giveKeys, [process, ...columns, arrays.numbers(keys.map(({ perKey }) => perKey))]),
      connection.run(statements.givenKeys, [process, ...columns]),
    ]);
    return given.rows.map((row) => text(row[0]));
  }
}

/** Each key once. */
function keysOf(calls: readonly KeyedCall[]): KeyedCall[] {
  return [...new Map(calls.map((call) => [JSON.stringify([call.endpoint, call.function, call.key]), call])).values()];
}
