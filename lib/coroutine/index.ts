export { currentRun, outsideOfRuns } from './context.js';
export type { RuntimeLog } from './services.js';
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
  type RemoteCall,
} from './functions.js';
export { CoroutineRuntime, type CoroutineRuntimeOptions } from './runtime.js';
export type { CallSpec, CurrentCall, DurableFunction, DurableRun, FunctionLookup } from './types.js';
