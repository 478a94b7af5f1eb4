export { DispatchRegistry } from './dispatch.registry.js';
export { FunctionExplorer } from './function.explorer.js';
export type { FunctionPolicy, RegisteredFunction } from './registered-function.js';
