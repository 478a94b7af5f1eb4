import type { Database } from './database.js';
import type { Tape } from './tape.js';

/** What is asked of an open database. */
export type DatabaseMethod =
  'lastSeq' | 'recover' | 'commit' | 'get' | 'list' | 'input' | 'journal' | 'results' | 'finishedBefore' | 'checkpoint';

/** An open database, in this thread or in another. */
export interface DatabaseHandle {
  /** Calls a method of the database. Calls are carried out in order. */
  ask<M extends DatabaseMethod>(method: M, ...args: Parameters<Database[M]>): Promise<Awaited<ReturnType<Database[M]>>>;
  /** @param mutations how many the tape holds */
  commit(tape: Tape, mutations: number): Promise<void>;
  close(): Promise<void>;
}

/** Calls a method by its name. */
export async function answer<M extends DatabaseMethod>(
  database: Database,
  method: M,
  args: Parameters<Database[M]>,
): Promise<Awaited<ReturnType<Database[M]>>> {
  // The compiler does not see that a method and its parameters belong together.
  const ask = database[method] as (...args: Parameters<Database[M]>) => ReturnType<Database[M]>;
  const answered = await ask.apply(database, args);
  return answered;
}
