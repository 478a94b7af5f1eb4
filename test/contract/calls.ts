import { create } from '@bufbuild/protobuf';
import { AnySchema, StringValueSchema, anyPack } from '@bufbuild/protobuf/wkt';
import type { Any } from '@bufbuild/protobuf/wkt';
import { crc32 } from 'node:zlib';
import { CallResultSchema } from '../../lib/gen/dispatch/sdk/v1/call_pb.js';
import type { CallResult } from '../../lib/gen/dispatch/sdk/v1/call_pb.js';
import { Status } from '../../lib/gen/dispatch/sdk/v1/status_pb.js';
import type {
  CallHeader,
  CallProgress,
  CallTarget,
  DispatchId,
  FinishedCall,
  Mutation,
} from '../../lib/scheduler/store.js';

/** Mutations for tests of stores, with defaults for all that a test does not care about. */

type Create = Extract<Mutation, { type: 'create' }>;

/** The nth id: 32 hex digits. */
export const idOf = (n: number): DispatchId => `0190${n.toString(16).padStart(28, '0')}`;

export const NOW = 1_750_000_000_000;

export function progressOf(progress: Partial<CallProgress> = {}): CallProgress {
  return {
    state: 'pending',
    dueAt: NOW,
    attempt: 0,
    crashes: 0,
    incarnation: 1,
    delivered: 0,
    minResults: 1,
    maxResults: 1,
    wakeAt: undefined,
    cancelBy: undefined,
    ...progress,
  };
}

export function targetOf(target: Partial<CallTarget> = {}): CallTarget {
  return { endpoint: 'bridge://local', function: 'Publisher.publish', version: '', input: undefined, ...target };
}

export function rootCall(
  id: DispatchId,
  parts: { header?: Partial<CallHeader>; target?: Partial<CallTarget>; progress?: Partial<CallProgress> } = {},
): Create {
  return {
    type: 'create',
    header: {
      id,
      parentId: '',
      rootId: id,
      correlationId: 0n,
      parentIncarnation: 0,
      createdAt: NOW,
      expiresAt: undefined,
      priority: 0,
      key: '',
      ...parts.header,
    },
    target: targetOf(parts.target),
    progress: progressOf(parts.progress),
  };
}

export function childCall(
  id: DispatchId,
  parentId: DispatchId,
  rootId = parentId,
  header: Partial<CallHeader> = {},
): Create {
  return rootCall(id, { header: { parentId, rootId, correlationId: 1n, parentIncarnation: 1, ...header } });
}

export const progressed = (id: DispatchId, progress: Partial<CallProgress> = {}): Mutation => ({
  type: 'progress',
  id,
  progress: progressOf(progress),
});

export const stringInput = (value: string): Any => anyPack(StringValueSchema, create(StringValueSchema, { value }));

export const bytesInput = (bytes: Uint8Array): Any =>
  create(AnySchema, { typeUrl: 'type.googleapis.com/google.protobuf.BytesValue', value: bytes });

export function resultOf(value: string, result: { correlationId?: bigint; dispatchId?: string } = {}): CallResult {
  return create(CallResultSchema, { output: stringInput(value), ...result });
}

export function finished(id: DispatchId, parts: Partial<FinishedCall> = {}): Mutation {
  return {
    type: 'finish',
    id,
    finished: {
      state: 'succeeded',
      status: (parts.state ?? 'succeeded') === 'succeeded' ? Status.OK : Status.PERMANENT_ERROR,
      result: resultOf('done'),
      finishedAt: NOW + 1,
      inbox: 0,
      ...parts,
    },
  };
}

/** Appends to a journal that holds `before` by now. */
export function appended(id: DispatchId, journal: string, before = ''): Mutation {
  const whole = Buffer.from(before + journal);
  return { type: 'append', id, journal: Buffer.from(journal), position: { bytes: whole.length, digest: crc32(whole) } };
}

export const foreignState = (id: DispatchId, state: string, typed = false): Mutation => ({
  type: 'state',
  id,
  state: Buffer.from(state),
  typed,
});

export const purged = (...ids: DispatchId[]): Mutation => ({ type: 'purge', ids });
