export { DispatchFunction } from './dispatch-function.decorator.js';
export {
  bindClass,
  bindInstance,
  bindMethod,
  boundFunctionOf,
  boundFunctionsOfMethod,
  getFunctionMetadata,
  unbindMethod,
  type BoundFunction,
  type DispatchFunctionOptions,
  type DurableMethod,
  type DurationInput,
  type FunctionConcurrency,
  type FunctionMetadata,
} from './function-metadata.js';
