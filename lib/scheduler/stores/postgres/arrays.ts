/**
 * Columns of many rows as PostgreSQL's array literals, for `unnest`. The driver's own encoder asks of each element what it
 * is; here that is known.
 */

export const numbers = (values: readonly (number | bigint | null)[]): string => literal(values, String);

export const booleans = (values: readonly boolean[]): string => literal(values, (value) => (value ? 't' : 'f'));

export const texts = (values: readonly (string | null)[]): string => literal(values, quoted);

export const bytes = (values: readonly (Uint8Array | null)[]): string => literal(values, hex);

function literal<T>(values: readonly (T | null)[], write: (value: T) => string): string {
  let text = '{';
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (index > 0) text += ',';
    text += value === null || value === undefined ? 'NULL' : write(value);
  }
  return text + '}';
}

function quoted(value: string): string {
  return /^[0-9a-f]{32}$/.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`;
}

function hex(value: Uint8Array): string {
  return `"\\\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}"`;
}
