import { fromBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { InvalidArgumentError } from '../../../errors/index.js';
import type { CallerTransaction, CreateMutation, DispatchId, KnownCall } from '../../store.js';
import * as arrays from './arrays.js';
import { refusalOfTransaction } from './errors.js';
import { groupsOf } from './mutation.group.js';
import { columnsOfNew } from './mutation.writer.js';
import type { Statements } from './statements.js';

export interface JoinedTransactionParts {
  readonly store: string;
  readonly schema: string;
  readonly statements: Statements;
  /** The process that the transaction is of, and what tells it from those of other databases. */
  readonly process: number;
  readonly start: string;
}

/** What `join` answers. */
interface Joined {
  readonly transaction: string | null;
  readonly isHere: boolean;
  readonly known: readonly (Omit<KnownCall, 'input'> & { readonly input: string | null })[] | null;
}

/** What `createIn` answers. */
interface Created {
  readonly isIn: boolean;
  readonly made: readonly DispatchId[] | null;
}

/** Writes calls on the connection of the application, in the transaction that it has begun there. */
export class JoinedTransaction {
  constructor(
    private readonly parts: JoinedTransactionParts,
    private readonly transaction: CallerTransaction,
  ) {}

  /**
   * @param given ids that others may dispatch as well
   * @param accept is handed what is there already
   * @throws InvalidArgumentError when the transaction cannot hold the calls
   */
  async create(
    roots: readonly CreateMutation[],
    given: readonly DispatchId[],
    accept: (known: KnownCall) => void,
  ): Promise<void> {
    const { transaction, known } = await this.join(idsOf(roots), given);
    for (const call of known) accept(call);
    const there = new Set(known.map(({ id }) => id));
    const missing = roots.filter(({ header }) => !there.has(header.id));
    if (missing.length === 0) return;
    const made = new Set<DispatchId>();
    for (const group of groupsOf(this.parts.store, missing)) {
      const values = columnsOfNew([...group.changes.values()], arrays.bytesAsText);
      const { isIn, made: ids } = await this.ask<Created>('createIn', [transaction, ...values]);
      if (!isIn) throw this.refuse(OUTSIDE);
      for (const id of ids ?? []) made.add(id);
    }
    const conflicts = idsOf(missing).filter((id) => !made.has(id));
    if (conflicts.length === 0) return;
    // Another transaction was first with them, which was waited for.
    for (const call of (await this.join(conflicts, [])).known) accept(call);
  }

  /** @param reserved from now on nobody else makes calls with these ids, until the transaction has ended */
  private async join(
    ids: readonly DispatchId[],
    reserved: readonly DispatchId[],
  ): Promise<{ transaction: string; known: KnownCall[] }> {
    const { process, start } = this.parts;
    const { transaction, isHere, known } = await this.ask<Joined>('join', [
      String(process),
      start,
      arrays.texts(ids),
      arrays.texts(reserved),
    ]);
    if (!isHere) throw this.refuse(ELSEWHERE);
    if (transaction === null) throw this.refuse(READ_ONLY);
    return { transaction, known: (known ?? []).map(knownCall) };
  }

  private async ask<T>(name: 'join' | 'createIn', values: readonly string[]): Promise<T> {
    const { statements, store, schema } = this.parts;
    try {
      return JSON.parse(await this.transaction.ask(statements[name].text, values)) as T;
    } catch (error) {
      throw refusalOfTransaction(error, store, schema) ?? error;
    }
  }

  private refuse(why: string): InvalidArgumentError {
    return new InvalidArgumentError(`with({ transaction }) for the store ${this.parts.store}: ${why}`);
  }
}

const OUTSIDE =
  'what was given is in no transaction, or not in the same one from statement to statement. Send BEGIN on that very ' +
  'connection before, and give what the library hands to the code of its transaction: not a pool, and not the client or ' +
  'data source that the transaction was begun with.';
const READ_ONLY = 'the transaction is read only, and the call would be a row in it. Begin one that may write.';
const ELSEWHERE =
  'the transaction is in another database, which has tables of the same name. Set scheduler.store, or DISPATCH_STORE, to ' +
  'the address of the database that the transaction is in.';

const idsOf = (roots: readonly CreateMutation[]): DispatchId[] => roots.map(({ header }) => header.id);

function knownCall({ input, ...call }: NonNullable<Joined['known']>[number]): KnownCall {
  return { ...call, input: input === null ? undefined : fromBinary(AnySchema, Buffer.from(input, 'hex')) };
}
