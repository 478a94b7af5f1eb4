export * from './messages.js';
export * from './retry.js';
export * from './run.js';
export * from './limits.js';
export * from './clock.js';
export * from './system-clock.js';
export { encodeAny, encodeResult, varintSize, writeVarint } from './encoding.js';
