import { bindInstance, bindMethod, getFunctionMetadata, type BoundFunction } from '../../lib/decorators/index.js';
import {
  CoroutineRuntime,
  type CoroutineRuntimeOptions,
  type DurableFunction,
  type FunctionLookup,
} from '../../lib/coroutine/index.js';
import { IdleClock, ScriptedScheduler, type Faults } from './scripted-scheduler.js';
import { seeded } from './seeded.js';

/** Registers the decorated methods of objects, as an application does for its providers. */
export function provide(...instances: object[]): FunctionLookup {
  const functions = new Map<string, DurableFunction>();
  for (const instance of instances) {
    const bindings = new Map<string | symbol, BoundFunction>();
    for (
      let proto: unknown = Object.getPrototypeOf(instance);
      proto !== Object.prototype;
      proto = Object.getPrototypeOf(proto)
    ) {
      for (const key of Reflect.ownKeys(proto as object)) {
        const method: unknown = Reflect.get(proto as object, key);
        const noted = getFunctionMetadata(method);
        if (noted === undefined || bindings.has(key)) continue;
        const name = noted.options.name ?? `${instance.constructor.name}.${String(key)}`;
        const original = noted.original as (...args: unknown[]) => Promise<unknown>;
        const bound: BoundFunction = {
          name,
          version: noted.options.version ?? '',
          original: noted.original,
          invoke: (args) => original.apply(instance, [...args]),
        };
        bindings.set(key, bound);
        bindMethod(method as object, bound);
        const retry = noted.options.retry as DurableFunction['retry'];
        functions.set(name, { name, version: bound.version, invoke: bound.invoke, retry });
      }
    }
    bindInstance(instance, bindings);
  }
  return { get: (name) => functions.get(name) };
}

export interface WorldOptions {
  extended?: boolean;
  faults?: Faults;
  seed?: number;
  processes?: number;
  runtime?: Partial<CoroutineRuntimeOptions>;
}

/** Runtimes behind a scripted scheduler, on time that passes only when nothing else can happen. */
export class World {
  readonly clock = new IdleClock();
  readonly logged: string[] = [];
  readonly scheduler: ScriptedScheduler;
  readonly runtimes: CoroutineRuntime[];

  constructor(
    functions: FunctionLookup,
    { extended = true, faults, seed = 1, processes = 1, runtime }: WorldOptions = {},
  ) {
    const note = (level: string) => (message: string) => void this.logged.push(`${level}: ${message}`);
    const log = { debug: note('debug'), warn: note('warn'), error: note('error') };
    this.runtimes = Array.from(
      { length: processes },
      () =>
        new CoroutineRuntime({
          functions,
          clock: this.clock,
          log,
          random: () => 0.5,
          endpointUrl: 'http://127.0.0.1:1',
          ...runtime,
        }),
    );
    const random = faults === undefined ? undefined : seeded(seed);
    this.scheduler = new ScriptedScheduler(this.runtimes, { extended, clock: this.clock, faults, random });
  }

  execute(fn: string, ...args: unknown[]): Promise<unknown> {
    return this.scheduler.execute(fn, ...args);
  }

  warnings(): string[] {
    return this.logged.filter((line) => line.startsWith('warn'));
  }

  close(): void {
    this.scheduler.stop();
    for (const runtime of this.runtimes) runtime.close();
  }
}
