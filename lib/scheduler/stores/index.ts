export { MemoryStore } from './memory.js';
export type { MemoryStoreOptions } from './memory.js';
