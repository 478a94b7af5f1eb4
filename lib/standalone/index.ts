export * from '../scheduler/index.js';
export type { CallObserver } from './metered.store.js';
export { StandaloneScheduler } from './standalone.scheduler.js';
export type { StandaloneOptions } from './standalone.options.js';
