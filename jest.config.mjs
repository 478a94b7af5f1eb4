import { swcOptions } from './test/support/swc.mjs';

/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test', '<rootDir>/sample'],
  testMatch: ['**/*.test.ts'],
  // With libraries of its own: npm run test:adapters.
  modulePathIgnorePatterns: ['<rootDir>/test/adapters/'],
  // Jest leaves a core alone, which is half of a small machine.
  maxWorkers: '100%',
  // Against tests that hang; a busy machine may be slow for a while.
  testTimeout: 60_000,
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': ['@swc/jest', swcOptions],
  },
  moduleNameMapper: {
    '^(\\.{1,2}/.*)\\.js$': '$1',
    '^nestjs-dispatch$': '<rootDir>/lib/index.ts',
    '^nestjs-dispatch/testing$': '<rootDir>/lib/testing/index.ts',
    '^nestjs-dispatch/proto$': '<rootDir>/lib/proto.ts',
    '^nestjs-dispatch/scheduler$': '<rootDir>/lib/standalone/index.ts',
  },
  setupFiles: ['reflect-metadata'],
};
