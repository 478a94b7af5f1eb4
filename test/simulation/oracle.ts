import { FUNCTIONS, type Expression, type Program, type Programs } from './programs.js';

/** How a call, or a part of a function, ends. */
export type Outcome =
  { readonly value: unknown; readonly error?: undefined } | { readonly value?: undefined; readonly error: string };

/** The function was cancelled while it waited: that is nothing that came of what it waited for. */
export const wasCutShort = ({ error }: Outcome): boolean => error?.endsWith(' was cancelled.') === true;

/** What the judge has to know of what happened: where a program leaves a choice, what was chosen. */
export interface Evidence {
  /** A step's code has produced this value. */
  wasProduced(value: string): boolean;
  /** A root has ended like this, now or at an earlier try. */
  rootEnded(index: number, outcome: Outcome): boolean;
  /** The process was ended by others than the function that does so, or it could not be noted what ran then. */
  readonly mayBlame: boolean;
}

/**
 * Says which results a program may have when nothing goes wrong. It carries the program out on the result: where the
 * outcome follows from the program it must be that, and where there is a choice (who wins a race) one of those.
 */
export class Oracle {
  constructor(
    private readonly programs: Programs,
    private readonly evidence: Evidence,
  ) {}

  accepts(program: number, outcome: Outcome): boolean {
    const found = this.programs.get(program);
    if (found === undefined) return false;
    if (outcome.error === BLAMED) return found.function === 'deadly' || this.mayBlame;
    if (found.function === 'deadly') return false;
    if (found.script !== undefined) return this.acceptsScripted(found, outcome);
    const traits = FUNCTIONS.get(found.function);
    if (outcome.error !== undefined && traits?.maxAttempts !== undefined) return true;
    const ofBody = this.acceptsPart(found.body, outcome);
    if (found.end === 'return') return ofBody;
    if (outcome.error !== undefined && ofBody) return true;
    if (found.end === 'fail') return outcome.error === failureOf(found);
    return this.accepts(found.end.tail, outcome);
  }

  private acceptsScripted({ id, script }: Program, outcome: Outcome): boolean {
    switch (script?.kind) {
      case 'value':
        return outcome.value === `scripted ${id}`;
      case 'calls': {
        const { programs } = script;
        return matchesAll(outcome, programs, (program, part) => isSettled(part, (one) => this.accepts(program, one)));
      }
      default:
        return outcome.error !== undefined && SCRIPTED_ERRORS.test(outcome.error);
    }
  }

  private acceptsPart(part: Expression, outcome: Outcome): boolean {
    const { error, value } = outcome;
    switch (part.kind) {
      case 'value':
      case 'sleep':
      case 'io':
      case 'forgotten':
      case 'stumble':
        return error === undefined && value === plainValueOf(part);
      case 'step':
        if (part.fails) return error === stepFailureOf(part.id);
        return typeof value === 'string' && value.startsWith(`step ${part.id} `) && this.evidence.wasProduced(value);
      case 'call':
        return (error !== undefined && part.expiration !== undefined) || this.accepts(part.program, outcome);
      case 'wait':
        return error?.startsWith('there is no call') === true || this.evidence.rootEnded(part.root, outcome);
      case 'attempt':
        return error === undefined && isSettled(value, (one) => this.acceptsPart(part.part, one));
      case 'all settled':
        return matchesAll(outcome, part.parts, (one, settled) =>
          isSettled(settled, (end) => this.acceptsPart(one, end)),
        );
      case 'sequence':
      case 'gather':
      case 'promise all':
        if (error !== undefined) return part.parts.some((one) => this.acceptsPart(one, outcome));
        return matchesAll(outcome, part.parts, (one, result) => this.acceptsPart(one, { value: result }));
      case 'race':
      case 'promise race':
        return part.parts.some((one) => this.acceptsPart(one, outcome));
      case 'any':
      case 'promise any':
        if (error === undefined) return part.parts.some((one) => this.acceptsPart(one, outcome));
        return error === 'All promises were rejected' && part.parts.every((one) => this.mayFail(one));
      case 'echoed race':
        if (error !== undefined) return part.parts.some((one) => this.acceptsPart(one, outcome));
        return isEchoed(value) && part.parts.some((one) => this.acceptsPart(one, { value: value[0] }));
    }
  }

  /** Whether others may be given up with the one that ends the process. */
  private get mayBlame(): boolean {
    return this.programs.isDeadly && this.evidence.mayBlame;
  }

  /** Whether some run of the part ends with an error. */
  private mayFail(part: Expression): boolean {
    switch (part.kind) {
      case 'step':
        return part.fails;
      case 'call':
        return part.expiration !== undefined || this.programMayFail(part.program);
      case 'wait':
        return true;
      case 'sequence':
      case 'gather':
      case 'promise all':
      case 'race':
      case 'promise race':
      case 'echoed race':
        return part.parts.some((one) => this.mayFail(one));
      case 'any':
      case 'promise any':
        return part.parts.every((one) => this.mayFail(one));
      default:
        return false;
    }
  }

  private programMayFail(id: number): boolean {
    const program = this.programs.get(id);
    if (program === undefined) return false;
    if (program.function === 'deadly' || this.mayBlame) return true;
    const { end, script } = program;
    if (script !== undefined) return script.kind !== 'value' && script.kind !== 'calls';
    if (end === 'fail' || FUNCTIONS.get(program.function)?.maxAttempts !== undefined) return true;
    return this.mayFail(program.body) || (typeof end === 'object' && this.programMayFail(end.tail));
  }
}

export const failureOf = ({ id }: Program): string => `program ${id} fails`;
export const stepFailureOf = (id: number): string => `step ${id} fails`;
export const plainValueOf = ({ kind, id }: Expression): string => `${kind} ${id}`;

const BLAMED = 'its process ended 5 times while it ran';

/** What an answer of a scripted endpoint is called that nobody can do anything with. */
const SCRIPTED_ERRORS = /cannot be carried out|without an error|neither with an exit nor with a poll/;

function matchesAll<T>(
  { value, error }: Outcome,
  parts: readonly T[],
  matches: (part: T, result: unknown) => boolean,
): boolean {
  if (error !== undefined || !Array.isArray(value) || value.length !== parts.length) return false;
  return parts.every((part, index) => matches(part, value[index]));
}

/** What `attempt` and `all settled` make of an outcome. */
export function settled(outcome: Outcome): unknown {
  return outcome.error === undefined ? { ok: outcome.value } : { caught: outcome.error };
}

function isSettled(value: unknown, accepts: (outcome: Outcome) => boolean): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if ('ok' in value) return accepts({ value: value.ok });
  return 'caught' in value && typeof value.caught === 'string' && accepts({ error: value.caught });
}

function isEchoed(value: unknown): value is [unknown, unknown] {
  return Array.isArray(value) && value.length === 2 && JSON.stringify(value[0]) === JSON.stringify(value[1]);
}
