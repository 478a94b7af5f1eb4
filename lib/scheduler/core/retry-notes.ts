import { Status } from '../../errors/index.js';
import type { Error as WireError } from '../../gen/dispatch/sdk/v1/error_pb.js';
import type { Timestamp } from '../store.js';
import type { Core } from './core.js';
import type { Milliseconds } from './options.js';
import type { Run } from './run.js';

/** A function that fails may do so thousands of times: there is one line about it in this time. */
const ONE_LINE_IN: Milliseconds = 60_000;
/** What becomes of an endpoint that is not reached is told of the endpoint, rather than of each of its functions. */
const OF_THE_WAY: ReadonlySet<Status> = new Set([Status.DNS_ERROR, Status.TCP_ERROR, Status.TLS_ERROR]);

/** Has the log say why runs are made again. */
export class RetryNotes {
  constructor(private readonly core: Core) {}

  /** @param attempt the one that has failed */
  note({ fn, record }: Run, status: Status, error: WireError, attempt: number, dueAt: Timestamp): void {
    if (OF_THE_WAY.has(status)) return;
    const { clock, log } = this.core;
    const now = clock.now();
    const { quietUntil, untold } = fn.retries;
    if (now < quietUntil) {
      fn.retries.untold += 1;
      return;
    }
    fn.retries = { quietUntil: now + ONE_LINE_IN, untold: 0 };
    const others = untold === 0 ? '' : ` ${untold} more runs of it have failed since the line before.`;
    log.warn(
      `call ${record.id} of ${fn.name} failed at attempt ${attempt}: ${Status[status]}, ${error.type}: ${error.message}. ` +
        `It is made again in ${dueAt - now} ms.${others}`,
    );
  }
}
