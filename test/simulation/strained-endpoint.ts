import { fromBinary } from '@bufbuild/protobuf';
import { Status } from '../../lib/errors/index.js';
import { RunRequestSchema } from '../../lib/gen/dispatch/sdk/v1/function_pb.js';
import { unpack } from '../../lib/values/index.js';
import type { Chance } from './chance.js';
import type { EventQueue } from './event-queue.js';
import { silence } from './life.js';
import type { Endpoint, Reply } from './network.js';
import { answer, exit } from './scripted-endpoint.js';

/** What an endpoint can take, and how much it is given. */
export interface Strain {
  /** Requests at a time; those above are throttled. */
  readonly capacity: number;
  /** How long a request takes; milliseconds. */
  readonly takes: number;
  /** For how long it wants to be left alone when it is given more. */
  readonly retryAfter: number | undefined;
  /** When it is there for nobody. */
  readonly away: Absence | undefined;
  /** Calls of it that are dispatched at once. */
  readonly calls: number;
}

/** Connections are refused; requests are taken and not answered; or something before it says that it is not there. */
interface Absence {
  readonly from: number;
  readonly until: number;
  readonly how: 'refuses' | 'hangs' | 'is declared away';
}

/** As a proxy asks for a pause, every so many requests. */
const DECLARED_AT = 3;
const DECLARED_FOR = 15_000;

/** One seed of thirty has an endpoint that is given more than it can take. */
export function strainOf(chance: Chance): Strain | undefined {
  if (!chance.happens(1 / 30)) return undefined;
  const capacity = chance.pick([2, 3, 5, 8, 16]);
  const takes = chance.whole(20, 300);
  const calls = capacity * chance.whole(15, 25);
  const from = chance.between(0, (calls / capacity) * takes);
  const lasts = chance.between(1_000, 120_000);
  return {
    capacity,
    takes,
    calls,
    retryAfter: chance.happens(0.4) ? chance.whole(500, 20_000) : undefined,
    away: chance.happens(0.6)
      ? { from, until: from + lasts, how: chance.pick(['refuses', 'refuses', 'hangs', 'is declared away']) }
      : undefined,
  };
}

/** An application that can take so much and no more, and that is away for a time. */
export class StrainedEndpoint implements Endpoint {
  private running = 0;
  private declared = 0;

  constructor(
    private readonly strain: Strain,
    private readonly queue: EventQueue,
  ) {}

  async serve(bytes: Uint8Array): Promise<Reply> {
    const { capacity, takes, retryAfter, away } = this.strain;
    if (away !== undefined && this.queue.now >= away.from && this.queue.now < away.until) return this.fail(away);
    if (this.running >= capacity) return { bytes: answer({ status: Status.THROTTLED }), retryAfter };
    this.running += 1;
    await new Promise<void>((resolve) => void this.queue.schedule(takes, resolve));
    this.running -= 1;
    const { directive } = fromBinary(RunRequestSchema, bytes);
    const program = directive.case === 'input' ? unpack(directive.value) : undefined;
    return { bytes: exit(`scripted ${String(program)}`) };
  }
  private async fail({ how }: Absence): Promise<Reply> {
    switch (how) {
      case 'refuses':
        throw new Error('the connection was refused');
      case 'hangs':
        return silence();
      case 'is declared away': {
        const bytes = answer({ status: Status.TEMPORARY_ERROR });
        const retryAfter = this.declared++ % DECLARED_AT === 0 ? DECLARED_FOR : undefined;
        return { bytes, retryAfter };
      }
    }
  }
}
