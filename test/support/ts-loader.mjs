/**
 * Runs TypeScript files in a plain Node process: `node --import ./test/support/ts-loader.mjs file.ts`. Tests that kill
 * real processes and benchmarks start them with it; nothing has to be built before.
 */
import { register } from 'node:module';

register('./ts-hooks.mjs', import.meta.url);
await import('reflect-metadata');
