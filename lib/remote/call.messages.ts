import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs, timestampMs, type Timestamp } from '@bufbuild/protobuf/wkt';
import {
  CallInfoSchema,
  CallState as WireState,
  CallWaitsFor as WireWaitsFor,
  type ListCallsRequestSchema,
  type CallInfo as WireCallInfo,
  type ListCallsRequest,
} from '../gen/nestjs_dispatch/v1/calls_pb.js';
import type { CallFilter, CallInfo, CallState, CallWaitsFor } from '../scheduler/index.js';

/** Calls as `CallService` tells of them, to and from the messages. */

type State = CallInfo['state'];

const STATES: Readonly<Record<State, WireState>> = {
  pending: WireState.PENDING,
  running: WireState.RUNNING,
  suspended: WireState.SUSPENDED,
  incompatible: WireState.INCOMPATIBLE,
  succeeded: WireState.SUCCEEDED,
  failed: WireState.FAILED,
  cancelled: WireState.CANCELLED,
};

const WAITS_FOR: Readonly<Record<CallWaitsFor, WireWaitsFor>> = {
  time: WireWaitsFor.TIME,
  turn: WireWaitsFor.TURN,
  results: WireWaitsFor.RESULTS,
  version: WireWaitsFor.VERSION,
  key: WireWaitsFor.KEY,
  endpoint: WireWaitsFor.ENDPOINT,
  function: WireWaitsFor.FUNCTION,
};

const statesByNumber = new Map(entries(STATES).map(([name, number]) => [number, name]));
const waitsByNumber = new Map(entries(WAITS_FOR).map(([name, number]) => [number, name]));

export const writeState = (state: State): WireState => STATES[state];

/** Undefined for a state that this version does not know. */
export const readState = (state: WireState): State | undefined => statesByNumber.get(state);

export function writeCallInfo(info: CallInfo): WireCallInfo {
  return create(CallInfoSchema, {
    dispatchId: info.id,
    parentDispatchId: info.parentId ?? '',
    rootDispatchId: info.rootId,
    endpoint: info.endpoint,
    function: info.function,
    version: info.version,
    state: writeState(info.state),
    waitsFor: info.waitsFor && WAITS_FOR[info.waitsFor],
    dueAt: optional(info.dueAt),
    status: info.status,
    createdAt: timestampFromMs(info.createdAt),
    expiresAt: optional(info.expiresAt),
    finishedAt: optional(info.finishedAt),
    attempt: info.attempt,
    crashes: info.crashes,
    incarnation: info.incarnation,
    cancelling: info.cancelling,
    priority: info.priority,
    key: info.key ?? '',
  });
}

export function readCallInfo(info: WireCallInfo): CallInfo {
  const finishedAt = info.finishedAt && timestampMs(info.finishedAt);
  return {
    id: info.dispatchId,
    parentId: info.parentDispatchId === '' ? undefined : info.parentDispatchId,
    rootId: info.rootDispatchId,
    endpoint: info.endpoint,
    function: info.function,
    version: info.version,
    state: readState(info.state) ?? 'pending',
    waitsFor: waitsByNumber.get(info.waitsFor),
    dueAt: info.dueAt && timestampMs(info.dueAt),
    status: finishedAt === undefined ? undefined : info.status,
    createdAt: info.createdAt === undefined ? 0 : timestampMs(info.createdAt),
    expiresAt: info.expiresAt && timestampMs(info.expiresAt),
    finishedAt,
    attempt: info.attempt,
    crashes: info.crashes,
    incarnation: info.incarnation,
    cancelling: info.cancelling,
    priority: info.priority,
    key: info.key === '' ? undefined : info.key,
  };
}

export function writeFilter(
  filter: CallFilter,
  page: { readonly limit?: number; readonly after?: string },
): MessageInitShape<typeof ListCallsRequestSchema> {
  return {
    states: filter.state === undefined ? [] : [filter.state].flat().map(writeState),
    function: filter.function ?? '',
    rootDispatchId: filter.rootId ?? '',
    parentDispatchId: filter.parentId ?? '',
    roots: filter.roots ?? false,
    createdAfter: optional(filter.createdAfter),
    createdBefore: optional(filter.createdBefore),
    limit: page.limit ?? 0,
    after: page.after ?? '',
  };
}

/** A state that this version does not know, or that no store keeps, is no filter: nothing is in it. */
export function readFilter(request: ListCallsRequest): CallFilter {
  const states = request.states.map(readState).filter(isStored);
  return {
    ...(request.states.length > 0 && { state: states }),
    ...(request.function !== '' && { function: request.function }),
    ...(request.rootDispatchId !== '' && { rootId: request.rootDispatchId }),
    ...(request.parentDispatchId !== '' && { parentId: request.parentDispatchId }),
    ...(request.roots && { roots: true }),
    ...(request.createdAfter && { createdAfter: timestampMs(request.createdAfter) }),
    ...(request.createdBefore && { createdBefore: timestampMs(request.createdBefore) }),
  };
}

const isStored = (state: State | undefined): state is CallState => state !== undefined && state !== 'running';

const optional = (time: number | undefined): Timestamp | undefined =>
  time === undefined || !Number.isFinite(time) ? undefined : timestampFromMs(time);

function entries<K extends string, V>(record: Readonly<Record<K, V>>): [K, V][] {
  return Object.entries(record) as [K, V][];
}
