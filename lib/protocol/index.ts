export * from './messages.js';
export * from './run.js';
export * from './limits.js';
export * from './clock.js';
export * from './system-clock.js';
export { encodeAny, encodeResult } from './encoding.js';
