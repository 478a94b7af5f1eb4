export * from './run.js';
export * from './clock.js';
