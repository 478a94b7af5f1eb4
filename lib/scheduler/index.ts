export {
  type CallInfo,
  type CallInfoPage,
  type CallOutcome,
  type CallWaitsFor,
  type Census,
  type NewCall,
  type WaitOptions,
} from './core/calls.js';
export type { RetryPolicy } from '../protocol/index.js';
export { type SchedulerParts } from './core/core.js';
export { type FunctionPolicy, type Milliseconds, type SchedulerLog, type SchedulerOptions } from './core/options.js';
export { type Random, secureRandom } from './core/random.js';
export { keyedId, namespaceOf, namespaceTag, type Namespace } from './core/ids.js';
export { MAX_KEY, MAX_PRIORITY } from './core/validation.js';
export { NATIVE_ENDPOINT, NATIVE_WAIT } from './core/native-waits.js';
export { refuseIfOther } from './idempotency.js';
export { Scheduler, SchedulerStoppedError } from './scheduler.js';
export * from './store.js';
export * from './stores/index.js';
export type { RunOptions, Transport } from './transport.js';
