import { InvalidArgumentError } from '../../errors/index.js';
import type { CallHeader, DispatchId } from '../store.js';
import type { NewCall } from './calls.js';
import type { Core } from './core.js';
import { isDispatchId, rootId } from './ids.js';
import { NATIVE_ENDPOINT } from './native-waits.js';
import { freshProgress } from './progress.js';
import { CallRecord } from './record.js';
import { invalidCall, MAX_KEY, MAX_PRIORITY } from './validation.js';

const NONE: ReadonlySet<DispatchId> = new Set();

/** Takes in the calls that clients dispatch. */
export class Intake {
  /** Dispatches that are asking the store for the ids they were given. */
  private lookUps = 0;
  /** Calls that left memory since the first of these began, so that its answer from the store may be outdated. */
  private readonly finishedMeanwhile = new Set<DispatchId>();

  constructor(private readonly core: Core) {}

  async dispatch(calls: readonly NewCall[]): Promise<DispatchId[]> {
    for (const call of calls) this.validate(call);
    const { records } = this.core;
    const given = calls.flatMap(({ id }) => (id === undefined || records.has(id) ? [] : id));
    const ids = given.length === 0 ? this.create(calls, NONE) : await this.createUnlessKnown(calls, given);
    await this.core.commits.durable();
    return ids;
  }

  noteFinished(id: DispatchId): void {
    if (this.lookUps > 0) this.finishedMeanwhile.add(id);
  }

  private async createUnlessKnown(calls: readonly NewCall[], given: readonly DispatchId[]): Promise<DispatchId[]> {
    this.lookUps += 1;
    try {
      const rows = await Promise.all(given.map((id) => this.core.store.get(id)));
      const known = new Set(this.finishedMeanwhile);
      for (const row of rows) if (row) known.add(row.header.id);
      return this.create(calls, known);
    } finally {
      this.lookUps -= 1;
      if (this.lookUps === 0) this.finishedMeanwhile.clear();
    }
  }

  /** All of them in one turn, so that they are one commit. */
  private create(calls: readonly NewCall[], known: ReadonlySet<DispatchId>): DispatchId[] {
    const { core } = this;
    const now = core.clock.now();
    return calls.map((call) => {
      const { id = rootId(now, core.random, call.namespace) } = call;
      if (core.records.has(id) || known.has(id)) return id;
      const header: CallHeader = {
        id,
        parentId: '',
        rootId: id,
        correlationId: 0n,
        parentIncarnation: 0,
        createdAt: now,
        expiresAt: call.expiration === undefined ? undefined : now + call.expiration,
        priority: call.priority ?? 0,
        key: call.key ?? '',
      };
      const fn = core.functions.entry(call.endpoint, call.function);
      const record = new CallRecord(header, fn, call.version ?? '', freshProgress(call.dueAt ?? now, 1));
      core.add(record);
      core.payloads.holdInput(record, call.input);
      core.commits.create(record, call.input);
      return id;
    });
  }

  private validate(call: NewCall): void {
    const problem =
      call.endpoint === NATIVE_ENDPOINT
        ? `the endpoint '${NATIVE_ENDPOINT}' is for calls of durable functions`
        : (invalidCall(this.core, call) ?? invalidTimes(call) ?? invalidOrder(call));
    if (problem !== undefined) throw new InvalidArgumentError(problem);
  }
}

function invalidOrder({ priority, key, function: name }: NewCall): string | undefined {
  if (priority !== undefined && !(Number.isInteger(priority) && Math.abs(priority) <= MAX_PRIORITY)) {
    return `the priority of ${name} is ${priority}: it has to be a whole number from ${-MAX_PRIORITY} to ${MAX_PRIORITY}`;
  }
  if (key !== undefined && (key === '' || key.length > MAX_KEY)) {
    return `the key of a call of ${name} has ${key.length} characters: it has to have from 1 to ${MAX_KEY}`;
  }
  return undefined;
}

function invalidTimes({ id, expiration, dueAt, function: name }: NewCall): string | undefined {
  if (id !== undefined && !isDispatchId(id))
    return `the id '${id}' of a call of ${name} is not 32 lower-case hex digits`;
  if (expiration !== undefined && !(Number.isFinite(expiration) && expiration >= 0)) {
    return `the expiration of ${name} is ${expiration}: it has to be a number of milliseconds, 0 or more`;
  }
  if (dueAt !== undefined && !Number.isFinite(dueAt)) {
    return `the dueAt of ${name} is ${dueAt}: it has to be milliseconds since 1970`;
  }
  return undefined;
}
