import type { TestingModuleBuilder } from '@nestjs/testing';
import { RemoteResults } from '../client/index.js';
import {
  DISPATCH_CLOCK,
  DISPATCH_ENGINE,
  DISPATCH_MODULE_OPTIONS,
  DISPATCH_RUNNER,
  DISPATCH_SETTINGS,
} from '../dispatch.constants.js';
import type { DurationInput } from '../decorators/index.js';
import { parseDuration } from '../dispatch.duration.js';
import type { DispatchModuleOptions } from '../dispatch.options.js';
import { createEngine, createRunner } from '../dispatch.providers.js';
import { resolveSettings, type Settings } from '../dispatch.settings.js';
import { EmbeddedEngine, type DispatchEngine } from '../engine/index.js';
import { InvalidArgumentError } from '../errors/index.js';
import type { Clock, FunctionRunner } from '../protocol/index.js';
import { DispatchRegistry } from '../registry/index.js';
import { MemoryStore, type Scheduler } from '../scheduler/index.js';
import { aMillisecond, ManualClock, turns } from './manual.clock.js';

export interface TestTimeOptions {
  /** The time that it begins with: milliseconds since 1970, a date, or the text of one. Default: the present. */
  readonly start?: number | Date | string;
  /**
   * For how long a durable function may do plain I/O (a request, a file, a timer of Node) before time goes on without
   * it, in milliseconds of real time. Functions that only compute or await durable calls are never cut short. Default 1,000.
   */
  readonly patience?: number;
}

/** Turns of the event loop after which work that is not done is taken to wait for I/O. */
const BUSY_TURNS = 200;

/**
 * Time in a test: it stands still until the test moves it. Applications under its control run the real embedded
 * scheduler on a store in memory, whatever they are configured for otherwise.
 *
 * ```ts
 * const time = new TestTime();
 * const module = await time.control(Test.createTestingModule({ imports: [AppModule] })).compile();
 * await module.init();
 *
 * const id = await module.get(DispatchClient).dispatch(module.get(Orders).place, order); // sleeps for three days
 * await time.advance('3d'); // milliseconds later
 * ```
 *
 * An application that is created after another one was closed finds the calls of that one: a restart.
 */
export class TestTime {
  private readonly clock: ManualClock;
  private readonly patience: number;
  private readonly store = new MemoryStore();
  private readonly schedulers = new Set<Scheduler>();
  /** Runs of durable functions that are in flight. */
  private running = 0;
  /** Alarms that runs in flight wait for, to try a step again. */
  private awaited = 0;
  private moving: Promise<unknown> = Promise.resolve();

  /** @throws InvalidArgumentError when the start is no date */
  constructor({ start = Date.now(), patience = 1_000 }: TestTimeOptions = {}) {
    const time = new Date(start).getTime();
    if (Number.isNaN(time)) throw new InvalidArgumentError(`The option start is no date: ${String(start)}.`);
    this.clock = new ManualClock(time);
    this.patience = patience;
  }

  /** What time it is in the test, in milliseconds since 1970. */
  get now(): number {
    return this.clock.now();
  }

  /**
   * Takes control of a module that imports `DispatchModule`. Its scheduler is the embedded one, in memory: an API URL, a
   * key and a store of the options or of the environment are passed over. Finished calls are kept for good unless the
   * options name a `retention`, and closing the application waits for no run.
   *
   * @returns the builder, for the rest of the chain
   */
  control(builder: TestingModuleBuilder): TestingModuleBuilder {
    return builder
      .overrideProvider(DISPATCH_CLOCK)
      .useValue(this.clock)
      .overrideProvider(DISPATCH_SETTINGS)
      .useFactory({
        factory: (options: DispatchModuleOptions | undefined) => this.settingsFor(options),
        inject: [DISPATCH_MODULE_OPTIONS],
      })
      .overrideProvider(DISPATCH_RUNNER)
      .useFactory({
        factory: (settings: Settings, registry: DispatchRegistry) =>
          createRunner(settings, registry, this.clockOfRuns()),
        inject: [DISPATCH_SETTINGS, DispatchRegistry],
      })
      .overrideProvider(DISPATCH_ENGINE)
      .useFactory({
        factory: (
          settings: Settings,
          registry: DispatchRegistry,
          runner: FunctionRunner & { close(): void },
          results: RemoteResults,
        ) => this.watched(createEngine(settings, registry, this.counted(runner), this.clock, results)),
        inject: [DISPATCH_SETTINGS, DispatchRegistry, DISPATCH_RUNNER, RemoteResults],
      });
  }

  /**
   * Moves time on, through everything that is due on the way, each at its time: timers of `sleep`, retries, delayed
   * calls, deadlines. What they set off runs to its end, or to where it waits for time again, before time goes on.
   *
   * @param duration milliseconds, or a string of the `ms` package: `'90s'`, `'3d'`
   * @throws InvalidArgumentError for what is no duration
   */
  async advance(duration: DurationInput): Promise<void> {
    const by = parseDuration(duration, 'advance()', (message) => new InvalidArgumentError(message));
    await this.inTurn(async () => {
      const end = this.now + by;
      await this.settle();
      while (this.now < end || (this.clock.next ?? Infinity) <= end) {
        this.clock.moveTo(end);
        await this.settle();
      }
    });
  }

  /** Resolves when nothing can happen any more unless time passes: every call has ended, or waits for time. */
  drain(): Promise<void> {
    return this.inTurn(() => this.settle());
  }

  private inTurn(move: () => Promise<void>): Promise<void> {
    const moved = this.moving.then(move);
    this.moving = moved.catch(() => undefined);
    return moved;
  }

  private async settle(): Promise<void> {
    const giveUp = performance.now() + this.patience;
    // Twice: whoever awaited a result may have dispatched something since.
    for (let round = 0; round < 2; round++) {
      await turns(2);
      for (const scheduler of this.schedulers) await this.settled(scheduler, giveUp);
    }
  }

  private async settled(scheduler: Scheduler, giveUp: number): Promise<void> {
    let idle = false;
    void scheduler.idle().then(() => (idle = true));
    for (let turn = 0; !idle && !this.waitsForTime; turn++) {
      if (turn < BUSY_TURNS) await turns();
      else if (performance.now() < giveUp) await aMillisecond();
      else return;
    }
  }

  /** All runs in flight have a failed step that is to be tried again. */
  private get waitsForTime(): boolean {
    return this.running > 0 && this.awaited >= this.running;
  }

  private settingsFor(options: DispatchModuleOptions = {}): Settings {
    const { scheduler } = options;
    const embedded = typeof scheduler === 'object' ? scheduler : {};
    const { DISPATCH_API_URL: _url, DISPATCH_API_KEY: _key, ...environment } = process.env;
    const settings = resolveSettings(
      { ...options, apiUrl: undefined, apiKey: undefined, scheduler: { ...embedded, store: this.store } },
      environment,
    );
    if (settings.mode.kind !== 'embedded') return settings;
    const { retention = Infinity } = settings.mode;
    return { ...settings, mode: { ...settings.mode, retention, shutdownGrace: 0 } };
  }

  private clockOfRuns(): Clock {
    const { clock } = this;
    return {
      now: () => clock.now(),
      defer: (callback) => clock.defer(callback),
      at: (time, callback) => {
        this.awaited++;
        let ended = false;
        const end = (): void => {
          if (!ended) this.awaited--;
          ended = true;
        };
        const alarm = clock.at(time, () => {
          end();
          callback();
        });
        return {
          cancel: () => {
            end();
            alarm.cancel();
          },
        };
      },
    };
  }

  private counted(runner: FunctionRunner & { close(): void }): FunctionRunner & { close(): void } {
    return {
      run: async (request, options) => {
        this.running++;
        try {
          return await runner.run(request, options);
        } finally {
          this.running--;
        }
      },
      close: () => runner.close(),
    };
  }

  /** Waited for while it is started. */
  private watched(engine: DispatchEngine): DispatchEngine {
    if (!(engine instanceof EmbeddedEngine)) return engine;
    const { scheduler } = engine;
    return {
      backend: engine.backend,
      start: async () => {
        await engine.start();
        this.schedulers.add(scheduler);
      },
      stop: () => {
        this.schedulers.delete(scheduler);
        return engine.stop();
      },
      close: () => engine.close(),
    };
  }
}
