import type { Logger } from '@nestjs/common';
import { EmbeddedBackend } from '../client/index.js';
import { outsideOfRuns } from '../coroutine/index.js';
import { LOCAL_ENDPOINT } from '../dispatch.constants.js';
import type { EmbeddedSettings } from '../dispatch.settings.js';
import { HttpTransport, type RequestSigner } from '../endpoint/index.js';
import type { Clock, FunctionRunner } from '../protocol/index.js';
import type { DispatchRegistry, RegisteredFunction } from '../registry/index.js';
import { Scheduler, secureRandom, type FunctionPolicy, type Store } from '../scheduler/index.js';
import type { DispatchEngine } from './engine.js';
import { EmbeddedTransport } from './embedded.transport.js';

export interface EmbeddedEngineParts {
  readonly settings: EmbeddedSettings;
  readonly store: Store;
  readonly runner: FunctionRunner & { close(): void };
  readonly registry: DispatchRegistry;
  readonly clock: Clock;
  readonly log: Logger;
  /** Signs calls of other applications; left out: they are not signed. */
  readonly sign: RequestSigner | undefined;
}

/** The scheduler in the application. */
export class EmbeddedEngine implements DispatchEngine {
  readonly backend: EmbeddedBackend;
  readonly scheduler: Scheduler;
  private readonly http: HttpTransport;

  constructor(private readonly parts: EmbeddedEngineParts) {
    const { settings, store, runner, clock, log, sign } = parts;
    this.http = new HttpTransport({ sign });
    const transport = new EmbeddedTransport(runner, this.http);
    const { run, concurrency, endpoints, retention, runTimeout, cancelGrace } = settings;
    this.scheduler = new Scheduler(
      { store, transport, clock, random: secureRandom(), log },
      { run, concurrency, endpoints, retention, runTimeout, cancelGrace },
    );
    this.backend = new EmbeddedBackend(this.scheduler);
  }

  async start(): Promise<void> {
    this.scheduler.setFunctions(LOCAL_ENDPOINT, this.parts.registry.list().map(policyOf));
    await outsideOfRuns(() => this.scheduler.start());
    this.backend.open();
  }

  async stop(): Promise<void> {
    this.backend.close();
    await this.scheduler.stop({ grace: this.parts.settings.shutdownGrace });
    this.parts.runner.close();
  }

  close(): void {
    this.http.close();
  }
}

function policyOf({ name, policy }: RegisteredFunction): FunctionPolicy {
  const { version, retry, concurrency, perKey, runTimeout, onIncompatible, startAfterCommit } = policy;
  return {
    name,
    version,
    retry,
    concurrency,
    perKey,
    runTimeout,
    onIncompatible: onIncompatible === 'restart' ? 'restart' : undefined,
    startAfterCommit,
  };
}
