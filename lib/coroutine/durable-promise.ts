import type { Operation } from './operation.js';

const ignore = (): void => {};

/**
 * The promise of a durable operation. It knows whether anybody continues with it: a run is only blocked on operations
 * that somebody waits for, and a method that ends without having awaited a call is told so.
 */
export class DurablePromise<T> extends Promise<T> {
  /** What is derived from it (`then`, `catch`, `finally`) is a plain promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  observed = false;
  /** The operation that settles it; undefined for a `gather`, which many settle. */
  operation: Operation | undefined;
  /** The run that it belongs to. */
  owner: object | undefined;
  private onObserved: (() => void) | undefined;
  private settle!: { resolve: (value: T | PromiseLike<T>) => void; reject: (reason: unknown) => void };

  static pending<T>(owner: object, onObserved: () => void): DurablePromise<T> {
    let settle: DurablePromise<T>['settle'] | undefined;
    const promise = new DurablePromise<T>((resolve, reject) => (settle = { resolve, reject }));
    if (settle !== undefined) promise.settle = settle;
    promise.owner = owner;
    promise.onObserved = onObserved;
    return promise;
  }

  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    if (!this.observed) {
      this.observed = true;
      this.onObserved?.();
    }
    return super.then(onFulfilled, onRejected);
  }

  /** Its outcome, without counting as somebody who waits for it. */
  quietly(): Promise<T> {
    return super.then((value) => value);
  }

  resolve(value: T): void {
    this.settle.resolve(value);
  }

  reject(reason: unknown): void {
    // Nobody may have looked yet: a failure that is awaited later, or never, must not end the process.
    if (!this.observed) super.then(undefined, ignore);
    this.settle.reject(reason);
  }
}
