import type { EndpointEntry } from './endpoint-entry.js';
import type { FunctionEntry } from './function-entry.js';
import type { CallRecord } from './record.js';
import { Ring, type RingItem } from './ring.js';

/*
 * Who takes turns with whom: the endpoints of a level, the functions of an endpoint, the root calls of a function; the
 * calls of one root go first in, first out. This is deficit round robin (Shreedhar and Varghese, 1995) where every call
 * counts as one, so that no deficit is left over.
 *
 * An endpoint or a function that may start nothing now is taken out of the turns when its turn comes, and comes back when
 * that has changed. So a turn costs the same, however many calls wait behind a limit.
 */

/** The ready calls of one root call and function. */
export class Lane extends Ring<CallRecord> implements RingItem<Lane> {
  next: Lane | undefined = undefined;
  previous: Lane | undefined = undefined;

  constructor(readonly owner: FunctionTurns) {
    super();
  }
}

/** The ready calls of one function and priority. */
export class FunctionTurns implements RingItem<FunctionTurns> {
  next: FunctionTurns | undefined = undefined;
  previous: FunctionTurns | undefined = undefined;
  private readonly lanes = new Ring<Lane>();
  /** Lanes of calls that have a parent, by their root; a root call has a lane of its own. */
  private readonly shared = new Map<string, Lane>();
  /** The last lane that became empty, to be used again. */
  private spare: Lane | undefined;
  private waitsForSlot = false;

  constructor(
    readonly fn: FunctionEntry,
    private readonly owner: EndpointTurns,
  ) {}

  get level(): Level {
    return this.owner.level;
  }

  add(call: CallRecord): void {
    const wasEmpty = this.lanes.isEmpty;
    const lane = this.laneOf(call);
    lane.append(call);
    call.lane = lane;
    this.fn.ready += 1;
    if (wasEmpty && !this.waitsForSlot) this.owner.include(this);
  }

  take(): CallRecord | undefined {
    const lane = this.lanes.first;
    const call = lane?.first;
    if (call === undefined) return undefined;
    this.lanes.rotate();
    this.remove(call);
    return call;
  }

  remove(call: CallRecord): void {
    const { lane } = call;
    if (lane === undefined) return;
    call.lane = undefined;
    this.fn.ready -= 1;
    lane.remove(call);
    if (!lane.isEmpty) return;
    this.lanes.remove(lane);
    this.spare = lane;
    if (call.header.parentId !== '') this.shared.delete(call.header.rootId);
    if (this.lanes.isEmpty && !this.waitsForSlot) this.owner.exclude(this);
  }

  /** All of them, the one whose turn comes last first. */
  *fromBehind(): Generator<CallRecord, undefined> {
    for (const lane of this.lanes.fromBehind()) yield* lane.fromBehind();
    return undefined;
  }

  /** The function has as many runs as it may have. */
  wait(): void {
    this.waitsForSlot = true;
    this.fn.waits = true;
    this.owner.exclude(this);
  }

  resume(): void {
    if (!this.waitsForSlot) return;
    this.waitsForSlot = false;
    if (!this.lanes.isEmpty) this.owner.include(this);
  }

  private laneOf({ header }: CallRecord): Lane {
    const isRoot = header.parentId === '';
    const known = isRoot ? undefined : this.shared.get(header.rootId);
    if (known !== undefined) return known;
    const lane = this.spare ?? new Lane(this);
    this.spare = undefined;
    this.lanes.append(lane);
    if (!isRoot) this.shared.set(header.rootId, lane);
    return lane;
  }
}

/** The ready calls of one endpoint and priority. */
export class EndpointTurns implements RingItem<EndpointTurns> {
  next: EndpointTurns | undefined = undefined;
  previous: EndpointTurns | undefined = undefined;
  private readonly functions = new Ring<FunctionTurns>();
  private isWaiting = false;

  constructor(
    readonly endpoint: EndpointEntry,
    readonly level: Level,
  ) {}

  include(turns: FunctionTurns): void {
    const wasEmpty = this.functions.isEmpty;
    this.functions.append(turns);
    if (wasEmpty && !this.isWaiting) this.level.endpoints.append(this);
  }

  exclude(turns: FunctionTurns): void {
    this.functions.remove(turns);
    if (this.functions.isEmpty && !this.isWaiting) this.level.endpoints.remove(this);
  }

  take(): CallRecord | undefined {
    for (let turns = this.functions.first; turns !== undefined; turns = this.functions.first) {
      if (turns.fn.isFull) {
        turns.wait();
        continue;
      }
      this.functions.rotate();
      return turns.take();
    }
    return undefined;
  }

  /** The endpoint is given no more calls for now. */
  wait(): void {
    this.isWaiting = true;
    this.endpoint.waits = true;
    this.level.endpoints.remove(this);
  }

  resume(): void {
    if (!this.isWaiting) return;
    this.isWaiting = false;
    if (!this.functions.isEmpty) this.level.endpoints.append(this);
  }
}

/** The ready calls of one priority. */
export class Level {
  /** Endpoints whose turn comes. */
  readonly endpoints = new Ring<EndpointTurns>();

  constructor(readonly priority: number) {}

  /** @param admits whether an endpoint may be given a call */
  take(admits: (endpoint: EndpointEntry) => boolean): CallRecord | undefined {
    for (let turns = this.endpoints.first; turns !== undefined; turns = this.endpoints.first) {
      if (!admits(turns.endpoint)) {
        turns.wait();
        continue;
      }
      this.endpoints.rotate();
      const call = turns.take();
      if (call !== undefined) return call;
    }
    return undefined;
  }

  /** Where the ready calls of a function wait. They are found again with the function, and go with it. */
  turnsOf(fn: FunctionEntry): FunctionTurns {
    for (const turns of fn.turns) if (turns.level === this) return turns;
    const turns = new FunctionTurns(fn, this.endpointTurnsOf(fn.host));
    fn.turns.push(turns);
    return turns;
  }

  private endpointTurnsOf(endpoint: EndpointEntry): EndpointTurns {
    for (const turns of endpoint.turns) if (turns.level === this) return turns;
    const turns = new EndpointTurns(endpoint, this);
    endpoint.turns.push(turns);
    return turns;
  }
}
