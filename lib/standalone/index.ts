export * from '../scheduler/index.js';
export { StandaloneScheduler } from './standalone.scheduler.js';
export type { StandaloneOptions } from './standalone.options.js';
