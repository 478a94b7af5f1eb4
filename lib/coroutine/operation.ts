import type { Operation as RecordedOperation } from '../gen/nestjs_dispatch/v1/journal_pb.js';
import { inputHash } from '../values/index.js';
import type { DurablePromise } from './durable-promise.js';
import type { CallSpec } from './types.js';

/** What user code did, as the matcher of a replay sees it: the same kind of thing, and the same thing. */
export interface Identity {
  /** What was called: a function at an endpoint, a timer, a step. */
  readonly subject: string;
  /** With which input: part of the identity, but a different one alone may be forgiven. */
  readonly detail: string;
}

/** What all kinds of operations begin with. */
export interface OperationBase {
  /** 0 until it has its place in the journal. */
  sequence: number;
  settled: boolean;
  /** Somebody continues with it, by its own promise or by a `gather` that it is part of. */
  awaited: boolean;
  /** The `gather` that awaits it, and nothing else does. */
  group: { outstanding: number } | undefined;
  /** No turn of the event loop lay between the last delivery and this operation. */
  readonly prompt: boolean;
  /** The delivery of its round was being written, and not handed to the function yet. */
  readonly beforeDelivery: boolean;
  readonly promise: DurablePromise<unknown>;
}

export interface CallOperation extends OperationBase {
  readonly kind: 'call';
  readonly spec: CallSpec;
  readonly inputKey: Uint8Array;
}

export interface TimerOperation extends OperationBase {
  readonly kind: 'timer';
  readonly duration: number;
  /** Milliseconds since 1970. */
  deadline: number;
}

export interface StepOperation extends OperationBase {
  readonly kind: 'step';
  readonly name: string;
  readonly run: (key: string) => unknown;
}

export type Operation = CallOperation | TimerOperation | StepOperation;

/** What an operation is about: nobody asks unless there is a replay. */
export function identityOf(operation: Operation): Identity {
  switch (operation.kind) {
    case 'call':
      return call(operation.spec.endpoint ?? '', operation.spec.function, operation.inputKey);
    case 'timer':
      return timer(operation.duration);
    case 'step':
      return step(operation.name);
  }
}

/** What a recorded operation is about, in the terms of those that are made now. */
export function identityOfRecorded({ kind }: RecordedOperation): Identity {
  switch (kind.case) {
    case 'call':
      return call(kind.value.endpoint, kind.value.function, kind.value.inputKey);
    case 'timer':
      return timer(kind.value.duration);
    case 'step':
      return step(kind.value.name);
    case undefined:
      return { subject: 'unknown', detail: '' };
  }
}

/** The same in a journal that an earlier version wrote, where every input has a hash. */
export function formerIdentityOf(operation: Operation): Identity {
  if (operation.kind !== 'call') return identityOf(operation);
  const { spec } = operation;
  return call(spec.endpoint ?? '', spec.function, inputHash(spec.input));
}

function call(endpoint: string, name: string, inputKey: Uint8Array): Identity {
  return { subject: `call ${endpoint} ${name}`, detail: Buffer.from(inputKey).toString('base64') };
}

const timer = (duration: number | bigint): Identity => ({ subject: 'timer', detail: String(duration) });
const step = (name: string): Identity => ({ subject: 'step', detail: name });

/** An operation as a person would name it. */
export function describeMade(operation: Operation): string {
  switch (operation.kind) {
    case 'call':
      return `a call of ${operation.spec.function}`;
    case 'timer':
      return describeTimer(operation.duration);
    case 'step':
      return describeStep(operation.name);
  }
}

export function describeRecorded({ kind }: RecordedOperation): string {
  switch (kind.case) {
    case 'call':
      return `a call of ${kind.value.function}`;
    case 'timer':
      return describeTimer(kind.value.duration);
    case 'step':
      return describeStep(kind.value.name);
    case undefined:
      return 'an operation of a kind that this version does not know';
  }
}

const describeTimer = (duration: number): string => `sleep(${duration})`;
const describeStep = (name: string): string => (name === '' ? 'a step()' : `step ${JSON.stringify(name)}`);

/** The operation as the journal keeps it. */
export function record(operation: Operation): RecordedOperation {
  const { sequence, prompt, beforeDelivery } = operation;
  return { $typeName: 'nestjs_dispatch.v1.Operation', sequence, kind: kindOf(operation), prompt, beforeDelivery };
}

function kindOf(operation: Operation): RecordedOperation['kind'] {
  switch (operation.kind) {
    case 'call': {
      const { spec, inputKey } = operation;
      const endpoint = spec.endpoint ?? '';
      const $typeName = 'nestjs_dispatch.v1.CallMade';
      return { case: 'call', value: { $typeName, function: spec.function, inputKey, endpoint } };
    }
    case 'timer': {
      const value = { duration: operation.duration, deadline: BigInt(operation.deadline) };
      return { case: 'timer', value: { $typeName: 'nestjs_dispatch.v1.TimerMade', ...value } };
    }
    case 'step':
      return { case: 'step', value: { $typeName: 'nestjs_dispatch.v1.StepMade', name: operation.name } };
  }
}
