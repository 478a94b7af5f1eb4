export * from './dispatch.error.js';
export {
  type Class,
  errorClassOf,
  type ErrorClass,
  registerErrorType,
  registerOutputType,
  wireTypeOf,
} from './error.registry.js';
export { type Failure, failureOf, noteFailure } from './failure.js';
export { statusOfHttp } from './http-status.js';
export { isFailure, isIncompatible, isRetryable, isStatus, Status } from './status.js';
export { statusOf, statusOfOutput } from './status-of.js';
