import { fromBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import type { Any } from '@bufbuild/protobuf/wkt';
import { CallResultSchema } from '../../../gen/dispatch/sdk/v1/call_pb.js';
import type { CallResult } from '../../../gen/dispatch/sdk/v1/call_pb.js';
import { StoreError } from '../../store.js';
import type {
  BranchChanges,
  CallEnd,
  CallerTransaction,
  CallFilter,
  CallPage,
  CallRow,
  ClaimableFunctions,
  CreateMutation,
  DispatchId,
  EndedBranch,
  JoiningStore,
  KeyedCall,
  KnownCall,
  Mutation,
  Recovery,
  Registration,
  SharedStoreListener,
  SlotDemand,
  SlotShare,
  Timestamp,
  UnservedFunction,
  UnservedSearch,
} from '../../store.js';
import * as arrays from './arrays.js';
import { listQuery } from './call.list.js';
import { DamagedError, isEnd, stateOf } from '../call.codes.js';
import { branchOf, undeliveredOf } from './claims.js';
import { Connection } from './connection.js';
import { loadDriver } from './driver.js';
import type { PostgresDriver } from './driver.js';
import { storeError } from './errors.js';
import { JoinedTransaction } from './joined.transaction.js';
import { idsIn } from './mutation.writer.js';
import { bytesOf, callRow, endOf, number, text } from './rows.js';
import { checkSchema, migrateSchema } from './schema.js';
import { Session } from './session.js';
import { statementsOf, type Statements } from './statements.js';
import { parseTarget, type PostgresTarget } from './target.js';

export interface PostgresStoreOptions {
  /** The schema of the store's tables, which has nothing else in it. Default: the address's `?schema=`, else `dispatch`. */
  readonly schema?: string;
  /**
   * `'auto'`: `open` makes the tables and brings them to the current version; of several processes one does it. `'check'`:
   * `open` fails where that is still to be done, by `migrate`. Default: `'auto'`.
   */
  readonly migrate?: 'auto' | 'check';
  /**
   * How many milliseconds a process that shows no sign of life keeps its calls; then others go on with them. Default:
   * 15,000. The same in all processes.
   */
  readonly lease?: number;
  /** How often, in milliseconds, a process with nothing to write shows that it lives. Default: a fifth of the lease. */
  readonly heartbeat?: number;
}

const DEFAULT_LEASE_MS = 15_000;
const ALL = 1_000;

interface Member {
  readonly runs: boolean;
  readonly listener: SharedStoreListener;
}

/** For a store that is used by itself: nobody listens. */
const NOBODY: Member = {
  runs: true,
  listener: {
    claimable: () => undefined,
    workOffered: () => undefined,
    workWanted: () => undefined,
    functionsChanged: () => undefined,
    ended: () => undefined,
    branchesEnded: () => undefined,
    cancelRequested: () => undefined,
    keyGiven: () => undefined,
    slotsChanged: () => undefined,
    leaseRegained: () => undefined,
    ownershipLost: () => undefined,
    warn: () => undefined,
  },
};

/** Keeps calls in PostgreSQL (13 or later), in a schema of its own, for any number of processes. Needs the package `pg`. */
export class PostgresStore implements JoiningStore {
  readonly name: string;
  readonly lease: number;
  private readonly target: PostgresTarget;
  private readonly statements: Statements;
  private session: Session | undefined;
  private member = NOBODY;
  private functions: readonly Registration[] = [];
  private isOpening = false;

  /**
   * @param url `postgres://user:password@host:5432/database`, with parameters of `pg` and `schema`
   * @throws StoreError when the address or the schema's name cannot be read
   */
  constructor(
    url: string,
    private readonly options: PostgresStoreOptions = {},
  ) {
    this.target = parseTarget(url, options.schema);
    this.name = this.target.name;
    this.statements = statementsOf(this.target.schema);
    this.lease = options.lease ?? DEFAULT_LEASE_MS;
  }

  get isOutOfTouch(): boolean {
    return this.session?.isOutOfTouch ?? true;
  }

  async open(member: Member = NOBODY): Promise<void> {
    if (this.session !== undefined || this.isOpening)
      throw new StoreError(
        `The store ${this.name} is open already. Open a store once, and close it before opening it again.`,
      );
    this.isOpening = true;
    try {
      this.member = member;
      this.session = await this.join();
    } finally {
      this.isOpening = false;
    }
  }

  async rejoin(): Promise<void> {
    const former = this.requireOpen();
    const session = await this.join();
    if (this.session !== former) return session.close();
    this.session = session;
    await former.close();
    await this.register(this.functions);
  }

  async close(): Promise<void> {
    const session = this.requireOpen();
    this.session = undefined;
    await session.close();
  }

  register(functions: readonly Registration[]): Promise<void> {
    this.functions = functions;
    return this.use((session) => session.register(functions));
  }

  async registeredElsewhere(): Promise<Registration[]> {
    const { process } = this.requireOpen();
    return this.read(async (connection, statements) => {
      const { rows } = await connection.run(statements.registeredElsewhere, [process]);
      return rows.map(([endpoint, name, version, runs, perKey]) => ({
        endpoint: text(endpoint),
        function: text(name),
        version: text(version),
        runs: runs === null ? undefined : number(runs),
        perKey: perKey === null ? undefined : number(perKey),
      }));
    });
  }

  async unserved(endpoints: readonly string[], search: UnservedSearch): Promise<UnservedFunction[]> {
    const { process } = this.requireOpen();
    return this.read(async (connection, statements) => {
      const { waiting, limit, count } = search;
      const values = [process, arrays.texts(endpoints), waiting, limit, count];
      const { rows } = await connection.run(statements.unserved, values);
      return rows.map((row) => ({ endpoint: text(row[0]), function: text(row[1]), calls: number(row[2]) }));
    });
  }

  async recover(): Promise<Recovery> {
    for (;;) {
      const { calls } = await this.take(ALL, undefined);
      if (calls.length === 0) break;
    }
    return this.use(async (session) => {
      const { statements } = this;
      return session.readers.read(async (connection) => {
        const { rows } = await connection.run(statements.unfinished, [session.process]);
        const calls = rows.map(callRow);
        const undelivered = await connection.run(statements.undelivered, [session.process]);
        const branches = await connection.run(statements.branches, [session.process]);
        return {
          calls,
          undelivered: undelivered.rows.map(undeliveredOf),
          inFlight: [...session.inFlight],
          branches: branches.rows.map(branchOf),
        };
      });
    });
  }

  claim(limit: number, functions: ClaimableFunctions): Promise<Recovery> {
    return this.take(limit, functions);
  }

  askForWork(process: number, count: number): Promise<void> {
    return this.use(async (session) => {
      await session.tell((connection) => connection.run(this.statements.askForWork, [process, count]));
    });
  }

  offerWork(): Promise<void> {
    return this.use(async (session) => {
      await session.tell((connection) => connection.run(this.statements.offerWork, [session.process]));
    });
  }

  shareKeys(wanting: readonly KeyedCall[], leaving: readonly KeyedCall[]): Promise<DispatchId[]> {
    return this.use((session) => session.keyLines.share(wanting, leaving));
  }

  callUp(): Promise<void> {
    return this.use(async (session) => {
      await session.tell((connection) => connection.run(this.statements.callUpAll, [session.process]));
    });
  }

  shareSlots(demands: readonly SlotDemand[]): Promise<SlotShare[]> {
    return this.use((session) => session.slotShares.share(demands));
  }

  commit(mutations: readonly Mutation[], branches?: BranchChanges): Promise<void> {
    return this.use(async (session) => {
      if (mutations.length === 0 && branches === undefined) return;
      const { committer, marks } = session;
      const settled = marks.inheritedOf(
        mutations.flatMap((mutation) => (mutation.type === 'create' ? [] : idsIn(mutation))),
      );
      await committer.commit({ mutations, branches, settled });
      marks.settled(settled);
    });
  }

  async createIn(
    transaction: CallerTransaction,
    roots: readonly CreateMutation[],
    given: readonly DispatchId[],
    accept: (known: KnownCall) => void,
  ): Promise<void> {
    const { statements, name: store } = this;
    const { schema } = this.target;
    const { process, start } = this.requireOpen();
    await new JoinedTransaction({ store, schema, statements, process, start }, transaction).create(
      roots,
      given,
      accept,
    );
  }

  reserved(ids: readonly DispatchId[]): Promise<DispatchId[]> {
    return this.read(async (connection, statements) => {
      const { rows } = await connection.run(statements.reserved, [arrays.texts(ids)]);
      return rows.map((row) => text(row[0]));
    });
  }

  markRunning(started: readonly DispatchId[], ended: readonly DispatchId[]): void {
    this.requireOpen().marks.update(started, ended);
  }

  get(id: DispatchId): Promise<CallRow | undefined> {
    return this.read(async (connection, statements) => {
      const { rows } = await connection.run(statements.get, [id]);
      return rows[0] && callRow(rows[0]);
    });
  }

  list(filter: CallFilter, page: { readonly limit: number; readonly after?: string }): Promise<CallPage> {
    return this.read(async (connection) => {
      // One more than asked for tells whether there is a next page.
      const { text, values } = listQuery(this.target.schema, filter, { ...page, limit: page.limit + 1 });
      const { rows } = await connection.query(text, values);
      const shown = rows.slice(0, page.limit);
      const last = shown.at(-1);
      return {
        rows: shown.map(callRow),
        next: last && rows.length > shown.length ? String(number(last[0])) : undefined,
      };
    });
  }

  input(id: DispatchId): Promise<Any | undefined> {
    return this.read(async (connection, statements) => {
      const { rows } = await connection.run(statements.input, [id]);
      const input = bytesOf(rows[0]?.[0]);
      return input && fromBinary(AnySchema, input);
    });
  }

  journal(id: DispatchId): Promise<Uint8Array> {
    return this.read(async (connection, statements) => {
      const { rows } = await connection.run(statements.journal, [id]);
      return new Uint8Array(Buffer.concat(rows.flatMap((row) => bytesOf(row[0]) ?? [])));
    });
  }

  results(ids: readonly DispatchId[]): Promise<(CallResult | undefined)[]> {
    return this.read(async (connection, statements) => {
      const { rows } = await connection.run(statements.results, [arrays.texts(ids)]);
      const found = new Map(rows.map((row) => [text(row[0]), bytesOf(row[1])]));
      return ids.map((id) => {
        const result = found.get(id);
        return result && fromBinary(CallResultSchema, result);
      });
    });
  }

  async endedBranches(limit: number): Promise<EndedBranch[]> {
    const { process } = this.requireOpen();
    return this.read(async (connection, statements) => {
      const { rows } = await connection.run(statements.endedBranches, [process, limit]);
      return rows.map((row) => {
        const [state, bytes] = [stateOf(number(row[4])), bytesOf(row[5])];
        if (!isEnd(state)) throw new DamagedError('a result belongs to a call that has not finished');
        return { ...branchOf(row), state, result: bytes && fromBinary(CallResultSchema, bytes) };
      });
    });
  }

  ends(ids: readonly DispatchId[]): Promise<CallEnd[]> {
    return this.read(async (connection, statements) => {
      const { rows } = await connection.run(statements.ends, [arrays.texts(ids)]);
      return rows.map(([id, rootId, hasFinished, state, status, result]) => ({
        id: text(id),
        rootId: text(rootId),
        finished: hasFinished === true ? endOf(state, status, result) : undefined,
      }));
    });
  }

  finishedBefore(time: Timestamp, limit: number): Promise<DispatchId[]> {
    const { process } = this.requireOpen();
    return this.read(async (connection, statements) => {
      const ids: DispatchId[] = [];
      const roots = await connection.run(statements.finishedRoots, [time, limit, process]);
      for (const row of roots.rows) {
        const root = text(row[0]);
        const { rows } = await connection.run(statements.descendants, [root, limit - ids.length]);
        for (const descendant of rows) ids.push(text(descendant[0]));
        // The root comes last, so that what a slice leaves of a large tree is found again.
        if (ids.length < limit) ids.push(root);
        if (ids.length >= limit) break;
      }
      return ids;
    });
  }

  sweep(): Promise<void> {
    return this.use((session) => session.sweep());
  }

  async others(): Promise<number> {
    const { process } = this.requireOpen();
    return this.read(async (connection, statements) => {
      const { rows } = await connection.run(statements.others, [process]);
      return number(rows[0]?.[0]);
    });
  }

  watch(ids: readonly DispatchId[]): Promise<void> {
    return this.use(async (session) => {
      for (const id of ids) session.watched.add(id);
      await session.tell((connection) => connection.run(this.statements.watch, [arrays.texts(ids), session.process]));
    });
  }

  unwatch(ids: readonly DispatchId[]): Promise<void> {
    return this.use(async (session) => {
      for (const id of ids) session.watched.delete(id);
      await session.tell((connection) => connection.run(this.statements.unwatch, [arrays.texts(ids), session.process]));
    });
  }

  requestCancel(id: DispatchId): Promise<void> {
    return this.use(async (session) => {
      await session.committer.inTurn((connection) => connection.run(this.statements.requestCancel, [id]));
    });
  }

  requestedCancels(): Promise<DispatchId[]> {
    const { process } = this.requireOpen();
    return this.read(async (connection, statements) => {
      const { rows } = await connection.run(statements.requestedCancels, [process]);
      return rows.map((row) => text(row[0]));
    });
  }

  forgetCancels(ids: readonly DispatchId[]): Promise<void> {
    return this.use(async (session) => {
      await session.tell((connection) => connection.run(this.statements.forgetCancels, [arrays.texts(ids)]));
    });
  }

  private async join(): Promise<Session> {
    const { target, statements, lease, member } = this;
    const heartbeat = this.options.heartbeat ?? lease / 5;
    const driver = await loadDriver();
    return withConnection(driver, target, async (connection) => {
      await prepare(connection, target, this.options.migrate ?? 'auto');
      return Session.open({ driver, target, statements, lease, heartbeat, ...member }, connection);
    });
  }

  private take(limit: number, functions: ClaimableFunctions | undefined): Promise<Recovery> {
    return this.use(async (session) => {
      const recovery = await session.claims.claim(limit, functions);
      session.marks.inherit(recovery.inFlight);
      for (const id of recovery.inFlight) session.inFlight.add(id);
      return recovery;
    });
  }

  private read<T>(action: (connection: Connection, statements: Statements) => Promise<T>): Promise<T> {
    return this.use((session) => session.readers.read((connection) => action(connection, this.statements)));
  }

  private requireOpen(): Session {
    if (this.session) return this.session;
    throw new StoreError(
      `The store ${this.name} is not open. Call open() before using it; after close(), open it again.`,
    );
  }

  private async use<T>(action: (session: Session) => Promise<T>): Promise<T> {
    const session = this.requireOpen();
    try {
      return await action(session);
    } catch (error) {
      throw storeError(error, this.name);
    }
  }
}

/**
 * Makes the store's tables, or brings them to the version of this package: for deployments whose applications may not do
 * that (`migrate: 'check'`).
 *
 * @throws StoreError when the server cannot be reached, or the schema is another application's or newer
 */
export async function migrate(url: string, options: Pick<PostgresStoreOptions, 'schema'> = {}): Promise<void> {
  const target = parseTarget(url, options.schema);
  await withConnection(await loadDriver(), target, (connection) => prepare(connection, target, 'auto'));
}

async function prepare(connection: Connection, { schema, name }: PostgresTarget, how: 'auto' | 'check'): Promise<void> {
  const { rows } = await connection.query('SHOW server_encoding');
  if (rows[0]?.[0] !== 'UTF8') {
    throw new StoreError(`The database of ${name} has the encoding ${String(rows[0]?.[0])}: a store needs UTF8.`);
  }
  await (how === 'auto' ? migrateSchema : checkSchema)(connection, schema, name);
}

async function withConnection<T>(
  driver: PostgresDriver,
  { connectionString, name }: PostgresTarget,
  action: (connection: Connection) => Promise<T>,
): Promise<T> {
  let connection: Connection | undefined;
  try {
    connection = await Connection.open({
      driver,
      connectionString,
      applicationName: 'nestjs-dispatch start',
      settings: 'SET default_transaction_isolation = DEFAULT',
    });
    return await action(connection);
  } catch (error) {
    throw storeError(error, name);
  } finally {
    await connection?.close();
  }
}
