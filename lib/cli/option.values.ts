import { readFileSync } from 'node:fs';
import { parseDuration } from '../dispatch.duration.js';
import { ConfigurationError } from '../errors/index.js';

/** How texts of options are read. What is wrong is a ConfigurationError that names the option. */

export const duration =
  (option: string) =>
  (text: string): number =>
    parseDuration(/^\d+$/.test(text) ? Number(text) : text, option);

export const count =
  (option: string, least: number, most: number) =>
  (text: string): number => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    throw new ConfigurationError(`${option} is ${JSON.stringify(text)}: give a whole number from ${least} to ${most}.`);
  };

/** An option that may be given several times. */
export const repeated = (text: string, before: readonly string[] = []): string[] => [...before, text];

/** A secret as it is, or the content of the file after an `@`: other users of a machine see what is on a command line. */
export function secret(text: string, option: string): string {
  return text.startsWith('@') ? file(text.slice(1), option).trim() : text;
}

/** Secrets of which a file may hold several, one a line. */
export function secrets(texts: readonly string[], option: string): string[] {
  return texts.flatMap((text) =>
    secret(text, option)
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#')),
  );
}

export function file(path: string, option: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigurationError(`${option} names a file that cannot be read: ${reason}`, { cause: error });
  }
}
