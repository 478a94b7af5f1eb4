import { isFailure, type Status } from './status.js';

/** What is known of an error that came to this function from another one. */
export interface Failure {
  /** The function that failed. Empty when nobody knows. */
  readonly function: string;
  /** On which attempt, from 1. 0 when nobody knows. */
  readonly attempt: number;
  /** The status that the failed call ended with, where it was told. */
  readonly status?: Status;
}

/** A registered symbol, so that two copies of the package in one process understand each other. */
const FAILURE = Symbol.for('nestjs-dispatch.failure');

/**
 * Which function failed, on which attempt and with which status, for an error that was thrown by an awaited call;
 * undefined for an error that was thrown here.
 */
export function failureOf(error: unknown): Failure | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const failure = (error as { [FAILURE]?: Failure })[FAILURE];
  if (typeof failure !== 'object' || failure === null) return undefined;
  return failure;
}

/** Notes on an error where it came from, without changing anything that code usually looks at. */
export function noteFailure(error: Error, failure: Failure): void {
  const { function: name, attempt, status } = failure;
  const value: Failure = Object.freeze({ function: name, attempt, ...(isFailure(status) ? { status } : {}) });
  Object.defineProperty(error, FAILURE, { value, enumerable: false, configurable: true, writable: true });
}
