import ms, { type StringValue } from 'ms';
import type { DurationInput } from './decorators/index.js';
import { ConfigurationError } from './errors/index.js';

/**
 * Reads a duration of an option.
 *
 * @param duration milliseconds, or a string of the `ms` package (`'30s'`, `'7d'`)
 * @param setting what the error calls it
 * @returns milliseconds, not negative
 * @throws ConfigurationError for anything else
 */
export function parseDuration(
  duration: DurationInput,
  setting: string,
  refuse: (message: string) => Error = (message) => new ConfigurationError(message),
): number {
  const milliseconds = typeof duration === 'string' ? readText(duration) : duration;
  if (typeof milliseconds === 'number' && Number.isFinite(milliseconds) && milliseconds >= 0) return milliseconds;
  throw refuse(
    `${setting} is ${describe(duration)}, which is no duration: give milliseconds (30_000), or a number with its unit ` +
      `('30s', '5m', '7d'), not negative.`,
  );
}

/** How a message shows a value that a person wrote as an option. Only for settings that hold no secrets. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'bigint':
      return `${value}n`;
    case 'function':
      return 'a function';
    case 'symbol':
      return 'a symbol';
    case 'object':
      return value === null ? 'null' : Array.isArray(value) ? 'an array' : 'an object';
  }
}

/** `ms` throws for an empty or overlong text, and returns undefined or NaN for one that it cannot read. */
function readText(text: string): number | undefined {
  try {
    return ms(text as StringValue);
  } catch {
    return undefined;
  }
}
