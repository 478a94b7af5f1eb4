export {
  DispatchBatch,
  DispatchCall,
  DispatchClient,
  type ArgumentsOf,
  type CallsOf,
  type DispatchID,
  type DispatchOptions,
  type DispatchTransaction,
  type ListFilter,
  type ResultOf,
  type ResultOptions,
  type ResultsOf,
} from './client/index.js';
export {
  all,
  any,
  call,
  currentCall,
  gather,
  race,
  sleep,
  step,
  tailCall,
  type Awaitable,
  type CurrentCall,
  type RemoteCall,
} from './coroutine/index.js';
export {
  DispatchFunction,
  type DispatchFunctionOptions,
  type FunctionConcurrency,
  type DurableMethod,
  type DurationInput,
} from './decorators/index.js';
export { DispatchModule } from './dispatch.module.js';
export type {
  DispatchModuleAsyncOptions,
  DispatchModuleOptions,
  DispatchOptionsFactory,
  EmbeddedSchedulerOptions,
  EndpointLimits,
  EndpointOptions,
} from './dispatch.options.js';
export {
  CancelledError,
  ConfigurationError,
  DispatchError,
  DNSError,
  failureOf,
  HTTPError,
  IncompatibleStateError,
  InvalidArgumentError,
  InvalidResponseError,
  NotFoundError,
  PermanentError,
  PermissionDeniedError,
  registerErrorType,
  registerOutputType,
  Status,
  TCPError,
  TemporaryError,
  ThrottleError,
  TimeoutError,
  TLSError,
  UnauthenticatedError,
  type Failure,
} from './errors/index.js';
export type { RetryPolicy } from './protocol/index.js';
export { DispatchRegistry, type FunctionPolicy, type RegisteredFunction } from './registry/index.js';
export {
  SchedulerStoppedError,
  StoreCorruptError,
  StoreError,
  StoreLockedError,
  StoreWriteError,
  type CallInfo,
  type CallInfoPage,
} from './scheduler/index.js';
export { registerMessageType } from './values/index.js';
