import { durationMs, type Duration } from '@bufbuild/protobuf/wkt';

/** How long a long poll lasts: less than what proxies between client and scheduler put up with. */
const LONGEST_POLL = 25_000;

/** How long a long poll may last, in milliseconds. */
export function pollTime(asked: Duration | undefined): number {
  return asked === undefined ? LONGEST_POLL : Math.min(Math.max(0, durationMs(asked)), LONGEST_POLL);
}

/** A request that is kept open until there is an answer: it ends with its client, and with the server. */
export class LongPoll {
  private readonly controller = new AbortController();
  private readonly abort = (): void => this.controller.abort(new DOMException('The poll has ended', 'AbortError'));

  constructor(
    private readonly client: AbortSignal,
    private readonly closing: AbortSignal,
  ) {
    for (const signal of [client, closing]) {
      if (signal.aborted) this.abort();
      signal.addEventListener('abort', this.abort);
    }
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Lets go of the signals: the server's is there for good. */
  end(): void {
    for (const signal of [this.client, this.closing]) signal.removeEventListener('abort', this.abort);
  }
}
