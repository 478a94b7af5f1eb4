import type { DispatchId, FunctionKey, KeyedCall } from '../../store.js';
import * as arrays from './arrays.js';
import { rollBack, type Committer } from './committer.js';
import type { Connection } from './connection.js';
import { text } from './rows.js';
import type { Statements } from './statements.js';

/** What a notification about a key begins with. */
export const KEY_GIVEN = 'key ';

/**
 * The lines in which calls of all processes wait for their keys. Processes have the first of a long line at hand; the others
 * are set aside: nobody claims them before they are called up.
 */
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

  /**
   * Sets calls aside that nobody has, in the middle of a claim, where more wait for these keys than processes should have.
   * @returns which ones
   */
  async setAside(connection: Connection, keys: readonly FunctionKey[]): Promise<DispatchId[]> {
    const { statements } = this;
    const { rows } = await connection.run(statements.longLines, columnsOf(distinct(keys)));
    if (rows.length === 0) return [];
    const columns = columnsOf(
      rows.map(([endpoint, name, key]) => ({
        endpoint: text(endpoint),
        function: text(name),
        key: text(key),
      })),
    );
    const [, aside] = await Promise.all([
      connection.run(statements.lockKeys, columns),
      connection.run(statements.setAside, columns),
      connection.run(statements.callUp, columns),
    ]);
    return aside.rows.map((row) => text(row[0]));
  }

  /** Under a lock of each key: of two processes that want the last place one comes after the other. */
  private async send(
    connection: Connection,
    wanting: readonly KeyedCall[],
    leaving: readonly KeyedCall[],
  ): Promise<DispatchId[]> {
    const { statements, committer, process } = this;
    const keys = distinct([...wanting, ...leaving]);
    const columns = columnsOf(keys);
    const [, , , , , , given] = await Promise.all([
      connection.query('BEGIN'),
      committer.fence(connection),
      connection.run(statements.lockKeys, columns),
      connection.run(statements.clearKeys, columns),
      connection.run(statements.enlist, [process, arrays.texts(wanting.map(({ id }) => id))]),
      connection.run(statements.giveKeys, [process, ...columns, arrays.numbers(keys.map(({ perKey }) => perKey))]),
      connection.run(statements.givenKeys, [process, ...columns]),
      connection.run(statements.callUp, columns),
    ]);
    return given.rows.map((row) => text(row[0]));
  }
}

/** Each key once. */
function distinct<T extends FunctionKey>(calls: readonly T[]): T[] {
  return [...new Map(calls.map((call) => [JSON.stringify([call.endpoint, call.function, call.key]), call])).values()];
}

function columnsOf(keys: readonly FunctionKey[]): string[] {
  return [
    arrays.texts(keys.map(({ endpoint }) => endpoint)),
    arrays.texts(keys.map((key) => key.function)),
    arrays.texts(keys.map(({ key }) => key)),
  ];
}
