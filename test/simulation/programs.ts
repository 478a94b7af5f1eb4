import type { Chance } from './chance.js';

export const LOCAL = 'local:';
export const REMOTE = 'http://remote';
export const SCRIPTED = 'http://scripted';
export const STRAINED = 'http://strained';

/** Where a function runs: in the scheduler's process, in another application of ours, in one that keeps no promise, or one that cannot take much. */
export type Home = typeof LOCAL | typeof REMOTE | typeof SCRIPTED | typeof STRAINED;

/** What a function does, as data, so that it can be carried out durably and be judged without. Each part has its own number. */
export type Expression =
  | { readonly kind: 'value'; readonly id: number }
  | { readonly kind: 'call'; readonly id: number; readonly program: number; readonly expiration: number | undefined }
  /** A call of the program's own child that nobody awaits. */
  | { readonly kind: 'forgotten'; readonly id: number; readonly program: number }
  | {
      readonly kind: 'step';
      readonly id: number;
      readonly stumbles: number;
      readonly fails: boolean;
      readonly takes: number;
    }
  | { readonly kind: 'sleep'; readonly id: number; readonly milliseconds: number }
  /** I/O of the function's own, which is not durable. */
  | { readonly kind: 'io'; readonly id: number; readonly milliseconds: number }
  /** Fails in a way that passes, or hangs, the first times that a call comes to it. */
  | { readonly kind: 'stumble'; readonly id: number; readonly times: number; readonly how: 'fail' | 'hang' }
  /** Waits for another root by its id. */
  | { readonly kind: 'wait'; readonly id: number; readonly root: number }
  | { readonly kind: 'sequence' | Joining | Choosing; readonly id: number; readonly parts: readonly Expression[] }
  /** Catches what its part throws. */
  | { readonly kind: 'attempt'; readonly id: number; readonly part: Expression }
  /** A race whose winner is the input of the next call: a replay with another winner would show. */
  | { readonly kind: 'echoed race'; readonly id: number; readonly parts: readonly Expression[] };

/** `gather` and `all` are ours, the others those of Promise. */
export type Joining = 'gather' | 'promise all' | 'all settled';
export type Choosing = 'race' | 'any' | 'promise race' | 'promise any';

export type Misbehaviour = 'hang' | 'throttle' | 'fail' | 'garbage';

/** How a scripted endpoint answers in the end, after it has misbehaved. */
export type ScriptedEnd =
  | { readonly kind: 'value' | 'no directive' | 'no status' | 'idle poll' | 'impossible call' }
  /** Makes calls, the same ones with each poll and one of them twice, and ends with what they result in. */
  | { readonly kind: 'calls'; readonly programs: readonly number[]; readonly minResults: number };

export interface Program {
  readonly id: number;
  readonly home: Home;
  readonly function: string;
  readonly body: Expression;
  readonly end: 'return' | 'fail' | { readonly tail: number };
  readonly misbehaves: readonly Misbehaviour[];
  readonly script: ScriptedEnd | undefined;
}

export interface Root {
  readonly program: number;
  /** Given by the client: then it may be dispatched again. */
  readonly id: string | undefined;
  readonly expiration: number | undefined;
  readonly delay: number | undefined;
  readonly priority: number;
  readonly key: string | undefined;
}

export interface FunctionTraits {
  readonly concurrency?: number;
  readonly perKey?: number;
  readonly startAfterCommit?: boolean;
  readonly maxAttempts?: number;
  /** Its code is another after a deploy. */
  readonly changes?: 'version' | 'code';
  readonly onIncompatible?: 'restart';
}

/** The functions of our applications, and what sets them apart. */
export const FUNCTIONS: ReadonlyMap<string, FunctionTraits> = new Map<string, FunctionTraits>([
  ['plain', {}],
  ['narrow', { concurrency: 2 }],
  ['shared', { perKey: 2 }],
  ['careful', { startAfterCommit: true }],
  ['impatient', { maxAttempts: 3 }],
  ['versioned', { changes: 'version' }],
  ['rewritten', { changes: 'code' }],
  ['restarted', { changes: 'code', onIncompatible: 'restart' }],
  /** Ends the process, each time that it runs. */
  ['deadly', {}],
  /** Results in its input. */
  ['echo', {}],
  /** What changed code calls first. */
  ['extra', {}],
]);

const ORDINARY: readonly [string, ...string[]] = [
  'plain',
  'plain',
  'plain',
  'narrow',
  'narrow',
  'careful',
  'impatient',
  'versioned',
  'rewritten',
  'restarted',
];

interface Surroundings {
  readonly home: Home;
  readonly depth: number;
  /** An error is caught, so that a stumble would change what the function does from run to run. */
  readonly caught: boolean;
  /** What follows depends on who is first, which I/O of the function's own must not decide: a replay would decide anew. */
  readonly decides: boolean;
}

/** The functions of a seed, and the calls of them that clients dispatch. */
export class Programs {
  readonly roots: readonly Root[];
  /** Whether some function ends its process. */
  readonly isDeadly: boolean;
  /** Whether there are many small calls at once, more than there are slots for. */
  readonly isCrowded: boolean;
  private readonly priorities: readonly [number, ...number[]];
  private readonly programs: Program[] = [];
  private lastExpression = 0;
  private budget = 0;

  /** @param order decides what sets calls apart that wait for the same slots */
  constructor(
    private readonly chance: Chance,
    private readonly order: Chance,
    /** Calls of an endpoint that cannot take them all at once, and no others; 0: none. */
    strained: number,
  ) {
    this.isCrowded = order.happens(0.1) && strained === 0;
    this.priorities = order.pick<Programs['priorities']>([[5], [-5], [5, 20, -5]]);
    if (strained > 0) {
      this.isDeadly = false;
      this.roots = this.strain(strained);
      return;
    }
    if (this.isCrowded) {
      this.isDeadly = false;
      this.roots = this.crowd();
      return;
    }
    this.isDeadly = chance.happens(0.06);
    const count = chance.whole(this.isDeadly ? 2 : 1, 6);
    const roots: Root[] = [];
    for (let index = 0; index < count; index++) {
      this.budget = chance.whole(1, 16);
      roots.push({
        program:
          this.isDeadly && index < 2
            ? this.deadlyOrSlow(index)
            : this.program(3, chance.pick([LOCAL, LOCAL, LOCAL, REMOTE, SCRIPTED])),
        id: chance.happens(0.6) ? this.rootId(index) : undefined,
        expiration: chance.happens(0.08) ? chance.whole(0, 30_000) : undefined,
        delay: chance.happens(0.15) ? chance.whole(0, 20_000) : undefined,
        ...this.place(0.2),
      });
      this.known = roots;
    }
    this.roots = roots;
  }

  private known: readonly Root[] = [];

  get(id: number): Program | undefined {
    return this.programs[id];
  }

  private strain(calls: number): Root[] {
    const program = this.add((id) => ({
      ...EMPTY,
      id,
      home: STRAINED,
      function: 'scripted',
      script: { kind: 'value' },
    }));
    const root = { program, id: undefined, expiration: undefined, delay: undefined, priority: 0, key: undefined };
    return Array.from({ length: calls }, () => root);
  }

  private crowd(): Root[] {
    const { chance } = this;
    return Array.from({ length: chance.whole(15, 35) }, (_, index) => ({
      program: this.small(1),
      id: chance.happens(0.5) ? this.rootId(index) : undefined,
      expiration: chance.happens(0.05) ? chance.whole(0, 10_000) : undefined,
      delay: chance.happens(0.2) ? chance.whole(0, 2_000) : undefined,
      ...this.place(0.4),
    }));
  }

  /** Which calls go before it, and which it must not meet. */
  private place(probability: number): Pick<Root, 'priority' | 'key'> {
    const { order } = this;
    return {
      priority: order.happens(probability) ? order.pick(this.priorities) : 0,
      key: this.isCrowded && order.happens(probability) ? order.pick(['red', 'blue']) : undefined,
    };
  }

  private small(depth: number): number {
    const { chance } = this;
    return this.add((id) => ({
      ...EMPTY,
      id,
      function: chance.pick(['plain', 'plain', 'plain', 'narrow', 'shared']),
      body: {
        kind: 'sequence',
        id: this.next(),
        parts: Array.from({ length: chance.whole(1, 3) }, () =>
          this.simple({ home: LOCAL, depth: 0, caught: false, decides: false }),
        ),
      },
      end: depth > 0 && chance.happens(0.15) ? { tail: this.small(depth - 1) } : 'return',
    }));
  }

  private rootId(index: number): string {
    return Buffer.from(`root ${index} ${this.chance.whole(0, 1e6)}`.padStart(16)).toString('hex');
  }

  private add(build: (id: number) => Program): number {
    const id = this.programs.length;
    // Its place is taken before those of its callees.
    this.programs.push(EMPTY);
    this.programs[id] = build(id);
    return id;
  }

  private program(depth: number, home: Home): number {
    if (home === SCRIPTED) return this.scripted(depth);
    return this.add((id) => ({
      id,
      home,
      function: this.chance.pick(ORDINARY),
      body: this.body({ home, depth, caught: false, decides: false }),
      end: this.end(depth, home),
      misbehaves: [],
      script: undefined,
    }));
  }

  /** A function that ends its process, and one that is under way meanwhile and has no part in it. */
  private deadlyOrSlow(index: number): number {
    if (index === 0) return this.add((id) => ({ ...EMPTY, id, function: 'deadly' }));
    const milliseconds = this.chance.between(1_000, 60_000);
    return this.add((id) => ({ ...EMPTY, id, body: { kind: 'io', id: this.next(), milliseconds } }));
  }

  private end(depth: number, home: Home): Program['end'] {
    if (this.chance.happens(0.15)) return 'fail';
    return depth > 0 && this.chance.happens(0.12) ? { tail: this.program(depth - 1, home) } : 'return';
  }

  private scripted(depth: number): number {
    return this.add((id) => {
      const misbehaves = Array.from({ length: this.chance.whole(0, 3) }, () =>
        this.chance.pick<Misbehaviour>(['hang', 'throttle', 'fail', 'garbage']),
      );
      const makesCalls = depth > 0 && this.budget > 0 && this.chance.happens(0.5);
      const script: ScriptedEnd = makesCalls
        ? {
            kind: 'calls',
            programs: Array.from({ length: this.chance.whole(1, 3) }, () =>
              this.program(depth - 1, this.chance.pick([REMOTE, SCRIPTED])),
            ),
            minResults: this.chance.whole(0, 3),
          }
        : { kind: this.chance.pick(['value', 'value', 'no directive', 'no status', 'idle poll', 'impossible call']) };
      return { id, home: SCRIPTED, function: 'scripted', body: EMPTY.body, end: 'return', misbehaves, script };
    });
  }

  private body(around: Surroundings): Expression {
    const count = this.chance.whole(1, 4);
    return { kind: 'sequence', id: this.next(), parts: this.parts(count, around) };
  }

  private parts(count: number, around: Surroundings): Expression[] {
    return Array.from({ length: count }, () => this.expression(around));
  }

  private expression(around: Surroundings): Expression {
    this.budget -= 1;
    const { chance } = this;
    if (around.depth <= 0 || this.budget <= 0) return this.simple(around);
    const deeper = { ...around, depth: around.depth - 1 };
    const id = this.next();
    switch (chance.whole(1, 14)) {
      case 1:
      case 2:
      case 3:
      case 4:
        return this.call(deeper);
      case 5:
        return this.same(deeper);
      case 6:
      case 7:
        return { kind: chance.pick(['gather', 'promise all']), id, parts: this.calls(deeper) };
      case 8:
        return { kind: 'all settled', id, parts: this.branches({ ...deeper, caught: true }) };
      case 9:
        return { kind: chance.pick(['race', 'promise race']), id, parts: this.branches({ ...deeper, caught: true }) };
      case 10:
        return { kind: chance.pick(['any', 'promise any']), id, parts: this.branches({ ...deeper, caught: true }) };
      case 11:
        return { kind: 'echoed race', id, parts: this.branches({ ...deeper, caught: true, decides: true }) };
      case 12:
        return { kind: 'attempt', id, part: this.expression({ ...deeper, caught: true }) };
      case 13:
        return { kind: 'promise all', id, parts: this.branches(deeper) };
      default:
        return this.simple(around);
    }
  }

  private branches(around: Surroundings): Expression[] {
    return Array.from({ length: this.chance.whole(2, 3) }, () =>
      this.chance.happens(0.3)
        ? { kind: 'sequence', id: this.next(), parts: this.parts(2, around) }
        : this.expression(around),
    );
  }

  private calls(around: Surroundings): Expression[] {
    const count = this.chance.happens(0.1) ? this.chance.whole(5, 12) : this.chance.whole(0, 4);
    return Array.from({ length: count }, () => this.call(around));
  }

  private call({ depth, home }: Surroundings): Expression {
    const { chance } = this;
    const id = this.next();
    const elsewhere: Home =
      home === LOCAL ? chance.pick([LOCAL, LOCAL, LOCAL, REMOTE, SCRIPTED]) : chance.pick([REMOTE, SCRIPTED]);
    const program = this.program(depth, chance.happens(0.7) ? home : elsewhere);
    const expiration = chance.happens(0.05) ? chance.whole(0, 20_000) : undefined;
    return { kind: 'call', id, program, expiration };
  }

  /** The same call two times, one after the other: which is which is known by their order alone. */
  private same(around: Surroundings): Expression {
    const first = this.call(around);
    return { kind: 'sequence', id: this.next(), parts: [first, { ...first, id: this.next() }] };
  }

  private simple({ caught, decides, home, depth }: Surroundings): Expression {
    const { chance } = this;
    const id = this.next();
    switch (chance.whole(1, 9)) {
      case 1:
      case 2:
        return {
          kind: 'step',
          id,
          stumbles: chance.happens(0.3) ? chance.whole(1, 2) : 0,
          fails: chance.happens(0.15),
          takes: chance.happens(0.5) ? chance.between(0, 500) : 0,
        };
      case 3:
      case 4:
        // Each of another length: those of branches that go on with I/O of their own are not told apart otherwise.
        return { kind: 'sleep', id, milliseconds: chance.pick([1, 50, 1_000, chance.whole(0, 10_000)]) + id };
      case 5:
        if (decides) return { kind: 'value', id };
        return { kind: 'io', id, milliseconds: chance.between(0, 2_000) };
      case 6:
      case 7:
        if (!caught)
          return { kind: 'stumble', id, times: chance.whole(1, 2), how: chance.pick(['fail', 'fail', 'hang']) };
        return { kind: 'value', id };
      case 8: {
        if (this.known.length === 0) return { kind: 'value', id };
        const root = chance.whole(0, this.known.length - 1);
        return { kind: 'attempt', id, part: { kind: 'wait', id: this.next(), root } };
      }
      default:
        if (depth <= 0 || this.budget <= 0) return { kind: 'value', id };
        return { kind: 'forgotten', id, program: this.program(0, home) };
    }
  }

  private next(): number {
    return ++this.lastExpression;
  }
}

const EMPTY: Program = {
  id: -1,
  home: LOCAL,
  function: 'plain',
  body: { kind: 'value', id: 0 },
  end: 'return',
  misbehaves: [],
  script: undefined,
};
