import { randomUUID } from 'node:crypto';
import { describe } from '../dispatch.duration.js';
import { InvalidArgumentError, InvalidResponseError } from '../errors/index.js';
import type { CallerTransaction } from '../scheduler/index.js';

/** A `pg` client after BEGIN, an EntityManager or QueryRunner of TypeORM, or anything that sends a statement in this way. */
interface QueryingTransaction {
  query(text: string, values: string[]): unknown;
}
interface PrismaTransaction {
  $queryRawUnsafe(text: string, ...values: string[]): unknown;
}
interface KyselyTransaction {
  executeQuery(query: never): unknown;
}
interface KnexTransaction {
  raw(text: string, bindings: never): unknown;
}
interface DrizzleTransaction {
  readonly _: unknown;
  execute(query: never): unknown;
}

/**
 * A transaction in PostgreSQL, as the library that began it hands it out: a `pg` client after BEGIN, the transaction of
 * Drizzle, Prisma, Kysely or Knex, the EntityManager or QueryRunner of TypeORM. For other libraries an object
 * `{ query(text, values) }` that sends a statement with its parameters in the transaction, and resolves with the rows,
 * or with an object that has them as `rows`.
 */
export type DispatchTransaction =
  QueryingTransaction | PrismaTransaction | KyselyTransaction | KnexTransaction | DrizzleTransaction;

/** Sends a statement with its parameters, in the way of a library. */
type Send = (text: string, values: string[]) => unknown;

/**
 * The transaction, whichever library it is of: told by what it can do, so that none of them has to be there.
 *
 * @throws InvalidArgumentError for anything else
 */
export function callerTransaction(given: DispatchTransaction): CallerTransaction {
  const send = sendOf(given);
  return { ask: async (text, values) => answerIn(await send(text, [...values])) };
}

/** What is most particular comes first: some of these have a `query` of another kind. */
function sendOf(given: DispatchTransaction): Send {
  if (can(given, '$queryRawUnsafe')) return (text, values) => given.$queryRawUnsafe(text, ...values);
  if (can(given, 'executeQuery')) return (text, values) => given.executeQuery(kyselyQuery(text, values) as never);
  if (can(given, 'raw')) return (text, values) => given.raw(...knexQuery(text, values));
  if (can(given, 'execute') && '_' in given)
    return (text, values) => given.execute(drizzleQuery(text, values) as never);
  if (can(given, 'query')) return (text, values) => given.query(text, values);
  throw new InvalidArgumentError(
    `with({ transaction }) got ${describe(given)}, which is no transaction that is known: give a pg client after BEGIN, the ` +
      'transaction of Drizzle, Prisma, Kysely or Knex, the EntityManager or QueryRunner of TypeORM, or an object ' +
      '{ query(text, values) } that resolves with { rows }.',
  );
}

function can<K extends string>(given: unknown, method: K): given is Record<K, (...args: never[]) => unknown> {
  if (given === null || (typeof given !== 'object' && typeof given !== 'function')) return false;
  return typeof (given as Record<string, unknown>)[method] === 'function';
}

/** What `CompiledQuery.raw` of Kysely makes. */
function kyselyQuery(sql: string, parameters: readonly string[]): object {
  return {
    sql,
    parameters,
    query: { kind: 'RawNode', sqlFragments: [sql], parameters: [] },
    queryId: { queryId: randomUUID() },
  };
}

/** Knex numbers its parameters by itself: they stand as `?`. */
function knexQuery(text: string, values: readonly string[]): [text: string, bindings: never] {
  const bindings: (string | undefined)[] = [];
  const numbered = text.replaceAll(/\$(\d+)/g, (_, number: string) => {
    bindings.push(values[Number(number) - 1]);
    return '?';
  });
  return [numbered, bindings as never];
}

/** What Drizzle calls an SQLWrapper, around what its `sql` makes. */
function drizzleQuery(sql: string, params: readonly string[]): object {
  const built = { toQuery: () => ({ sql, params: [...params] }), getSQL: () => built };
  return built;
}

/** The only column of the only row: some libraries rename columns. */
function answerIn(result: unknown): string {
  const rows: unknown = Array.isArray(result) ? result : (result as { rows?: unknown } | null | undefined)?.rows;
  const row: unknown = Array.isArray(rows) ? rows[0] : undefined;
  const answer: unknown = typeof row === 'object' && row !== null ? Object.values(row)[0] : undefined;
  if (typeof answer === 'string') return answer;
  throw new InvalidResponseError(
    `with({ transaction }): a query in the transaction resolved with ${describe(result)}: it has to resolve with the rows, ` +
      'or with an object that has them as rows.',
  );
}
