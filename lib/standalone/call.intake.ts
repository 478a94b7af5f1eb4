import { durationMs, timestampMs, type Timestamp } from '@bufbuild/protobuf/wkt';
import { InvalidArgumentError } from '../errors/index.js';
import type { Call } from '../gen/dispatch/sdk/v1/call_pb.js';
import { keyedId, refuseIfOther, type DispatchId, type NewCall, type Scheduler } from '../scheduler/index.js';
import type { Caller } from './api.keys.js';
import { isBridge } from './bridge.address.js';
import type { EndpointPolicy } from './endpoint.policy.js';

/** A call as a client sends it. */
export interface SentCall {
  readonly call: Call;
  readonly dueAt?: Timestamp;
  readonly idempotencyKey?: string;
  readonly stepKey?: string;
  readonly priority?: number;
  readonly key?: string;
}

/** Takes in the calls that clients send: what they may ask for, and whose calls they are. */
export class CallIntake {
  constructor(
    private readonly scheduler: Pick<Scheduler, 'dispatch'>,
    private readonly policy: EndpointPolicy,
  ) {}

  /**
   * Records the calls, all or none.
   *
   * @throws InvalidArgumentError, EndpointRefusedError when one of them is wrong
   */
  async dispatch(caller: Caller, sent: readonly SentCall[]): Promise<DispatchId[]> {
    for (const { call } of sent) this.checkEndpoint(call);
    const calls = sent.map((one) => newCall(caller, one));
    return this.scheduler.dispatch(calls, (known, index) => {
      const one = sent[index];
      if (one === undefined) return;
      const { endpoint, function: name, input } = one.call;
      refuseIfOther({ endpoint, function: name, input, idempotencyKey: one.idempotencyKey }, known);
    });
  }

  /** What will never be called is refused at once; where a name leads is looked at when it is called. */
  private checkEndpoint({ endpoint, function: name }: Call): void {
    if (isBridge(endpoint)) return;
    const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
    if (url?.protocol === 'http:' || url?.protocol === 'https:') return void this.policy.admit(url);
    const what = endpoint === '' ? 'names no endpoint' : `has the endpoint '${endpoint}', which cannot be called`;
    throw new InvalidArgumentError(
      `the call of ${name} ${what}: give an address that begins with http://, https:// or bridge://`,
    );
  }
}

function newCall(caller: Caller, { call, dueAt, idempotencyKey, stepKey, priority, key }: SentCall): NewCall {
  const { endpoint, function: name, version, input, expiration } = call;
  const { namespace } = caller;
  return {
    endpoint,
    function: name,
    version,
    input,
    priority,
    key,
    namespace,
    expiration: expiration && durationMs(expiration),
    dueAt: dueAt && timestampMs(dueAt),
    id: idOf(idempotencyKey, stepKey, namespace),
  };
}

function idOf(
  idempotencyKey: string | undefined,
  stepKey: string | undefined,
  namespace: string,
): DispatchId | undefined {
  if (idempotencyKey !== undefined) return keyedId(`key:${idempotencyKey}`, namespace);
  return stepKey === undefined ? undefined : keyedId(`step:${stepKey}`, namespace);
}
