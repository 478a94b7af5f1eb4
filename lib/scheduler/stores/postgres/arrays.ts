/**
 * Columns of many rows as PostgreSQL's array literals, for `unnest`. The driver's own encoder asks of each element what it
 * is; here that is known.
 */

/** The type `bytea`, of which an array in binary form says that it consists. */
const BYTEA = 17;
const NULL_LENGTH = -1;

export const numbers = (values: readonly (number | bigint | null)[]): string => literal(values, String);

export const booleans = (values: readonly boolean[]): string => literal(values, (value) => (value ? 't' : 'f'));

export const texts = (values: readonly (string | null)[]): string => literal(values, quoted);

/** As text: for connections of which only that is known. */
export const bytesAsText = (values: readonly (Uint8Array | null)[]): string => literal(values, hex);

/** In binary form, which costs neither side a conversion (`array_recv` of the server's source tells what it consists of). */
export function bytes(values: readonly (Uint8Array | null)[]): Buffer {
  const lengths = values.reduce((sum, value) => sum + (value?.length ?? 0), 0);
  const array = Buffer.allocUnsafe(20 + 4 * values.length + lengths);
  const hasNulls = values.includes(null) ? 1 : 0;
  let at = 0;
  for (const word of [1, hasNulls, BYTEA, values.length, 1]) at = array.writeInt32BE(word, at);
  for (const value of values) {
    at = array.writeInt32BE(value?.length ?? NULL_LENGTH, at);
    if (value === null) continue;
    array.set(value, at);
    at += value.length;
  }
  return array;
}

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
