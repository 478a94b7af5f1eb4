import { AsyncLocalStorage } from 'node:async_hooks';
import type { CurrentCall, DurableRun } from './types.js';

/** What the async context of a run holds. */
export interface RunScope {
  /** The run, while durable operations of this context still belong to it. */
  readonly run: DurableRun | undefined;
  /** The call that the code belongs to, also inside of a step. */
  readonly current: CurrentCall | undefined;
  /** Called when code of this context asks for a run that is over. */
  onLate(): void;
}

const scopes = new AsyncLocalStorage<RunScope | undefined>();

/** The run that the calling code belongs to; undefined outside of durable functions. */
export function currentRun(): DurableRun | undefined {
  const scope = scopes.getStore();
  if (scope === undefined) return undefined;
  if (scope.run === undefined) scope.onLate();
  return scope.run;
}

export function currentScope(): RunScope | undefined {
  return scopes.getStore();
}

export function withScope<T>(scope: RunScope, fn: () => T): T {
  return scopes.run(scope, fn);
}

/**
 * Runs code outside of any run, whatever called it: what it starts (connections, timers, emitters) must not be taken for
 * a part of the durable function that happened to touch it first.
 */
export function outsideOfRuns<T>(fn: () => T): T {
  return scopes.getStore() === undefined ? fn() : scopes.run(undefined, fn);
}
