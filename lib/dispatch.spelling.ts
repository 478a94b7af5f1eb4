import { ConfigurationError } from './errors/index.js';

/**
 * Refuses properties that are no option: a misspelled one would be ignored in silence.
 *
 * @param prefix what the option's name begins with: `scheduler.`
 * @param where the beginning of the message
 * @throws ConfigurationError that names the property and the option that was probably meant
 */
export function refuseUnknownNames(options: object, known: readonly string[], prefix: string, where = ''): void {
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const meant = nearest(name, known);
    throw new ConfigurationError(
      `${where}${where === '' ? 'There' : 'there'} is no option ${prefix}${name}` +
        (meant === undefined ? `. The options are: ${known.join(', ')}.` : `: did you mean ${prefix}${meant}?`),
    );
  }
}

/** The known name that is spelled most like this one; undefined when none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: { name: string; distance: number } | undefined;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (best === undefined || distance < best.distance) best = { name: candidate, distance };
  }
  return best !== undefined && best.distance <= Math.max(2, name.length / 3) ? best.name : undefined;
}

/** How many letters must be put in, taken out or changed to make one word of the other (Levenshtein). */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const change = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
