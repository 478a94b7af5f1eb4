export { AbsentBackend } from './absent.backend.js';
export type { Backend, ListFilter, OutgoingCall } from './backend.js';
export type { DispatchTransaction } from './caller.transaction.js';
export type {
  ArgumentsOf,
  CallsOf,
  DispatchID,
  DispatchOptions,
  ResultOf,
  ResultOptions,
  ResultsOf,
} from './client.types.js';
export { DispatchBatch } from './dispatch.batch.js';
export { DispatchCall } from './dispatch.call.js';
export { DispatchClient } from './dispatch.client.js';
export { EmbeddedBackend, type CallScheduler } from './embedded.backend.js';
export { RemoteBackend } from './remote.backend.js';
export { RemoteResults } from './remote.results.js';
