import { StoreConflictError, StoreError } from '../store.js';
import type { DispatchId } from '../store.js';

/** What every store answers to a mutation that contradicts what it holds: a fault of the scheduler, never of the disk. */

export const refuseUnknown = (store: string, mutation: string, id: DispatchId): StoreError =>
  refuse(store, `a '${mutation}' names the call ${id}, which is not there`);

export const refuseExisting = (store: string, id: DispatchId): StoreError =>
  new StoreConflictError(refusal(store, `the call ${id} exists already`));

export const refuseFinished = (store: string, mutation: string, id: DispatchId): StoreError =>
  refuse(store, `a '${mutation}' names the call ${id}, which has finished`);

export const refuseFinishedProgress = (store: string, id: DispatchId): StoreError =>
  refuse(store, `only a 'finish' ends a call, and the progress of ${id} says that it has ended`);

export const refuseForeign = (store: string, mutation: string, id: DispatchId): StoreError =>
  refuse(store, `a '${mutation}' names the call ${id}, which another process has`);

export const refuseUnfinishedPurge = (store: string, id: DispatchId): StoreError =>
  refuse(store, `a 'purge' names the call ${id}, which has not finished`);

export const refuseAppendToTyped = (store: string, id: DispatchId): StoreError =>
  refuse(store, `an 'append' names the call ${id}, whose state is a typed one of its endpoint`);

export const refusePosition = (store: string, id: DispatchId, given: number, end: number): StoreError =>
  refuse(store, `an 'append' says that the journal of ${id} ends at ${given} bytes, and it ends at ${end}`);

function refuse(store: string, why: string): StoreError {
  return new StoreError(refusal(store, why));
}

const refusal = (store: string, why: string): string =>
  `The store ${store} refused a commit: ${why}. Nothing of the commit was stored. This is a bug: please report it.`;
