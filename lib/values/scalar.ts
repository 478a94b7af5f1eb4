import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { write } from './writer.js';

/**
 * The wrapper types of google/protobuf/wrappers.proto and Timestamp, by hand: most calls and results are one of them.
 * Their default values take no bytes (proto3).
 */

export const NO_BYTES = new Uint8Array(0);
const TRUE = 1;
const FIELD_1_VARINT = 0x08;
const FIELD_1_BYTES = 0x0a;

const encoder = new TextEncoder();

/** A surrogate that is not part of a pair: no UTF-8 says it. */
const LONE_SURROGATE = /\p{Surrogate}/u;

export function isWellFormed(text: string): boolean {
  return !LONE_SURROGATE.test(text);
}

export function writeBool(value: boolean): Uint8Array {
  return value ? Uint8Array.of(FIELD_1_VARINT, TRUE) : NO_BYTES;
}

export function writeInt64(value: number | bigint): Uint8Array {
  if (value === 0 || value === 0n) return NO_BYTES;
  if (typeof value === 'number' && value > 0) return writePositive(value);
  return write((writer) => writer.tag(1, WireType.Varint).int64(value));
}

function writePositive(value: number): Uint8Array {
  let length = 2;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length += 1;
  const bytes = new Uint8Array(length);
  bytes[0] = FIELD_1_VARINT;
  let rest = value;
  for (let at = 1; at < length; at++) {
    bytes[at] = (rest % 0x80) + (at < length - 1 ? 0x80 : 0);
    rest = Math.floor(rest / 0x80);
  }
  return bytes;
}

export function writeDouble(value: number): Uint8Array {
  return Object.is(value, 0) ? NO_BYTES : write((writer) => writer.tag(1, WireType.Bit64).double(value));
}

export function writeString(text: string): Uint8Array {
  return text === '' ? NO_BYTES : writeField1(Buffer.byteLength(text), (target) => encoder.encodeInto(text, target));
}

export function writeBytes(bytes: Uint8Array): Uint8Array {
  return bytes.length === 0 ? NO_BYTES : writeField1(bytes.length, (target) => target.set(bytes));
}

/** @param time milliseconds since 1970, whole */
export function writeTimestamp(time: number): Uint8Array {
  const seconds = Math.floor(time / 1000);
  const nanos = (time - seconds * 1000) * 1_000_000;
  return write((writer) => {
    if (seconds !== 0) writer.tag(1, WireType.Varint).int64(seconds);
    if (nanos !== 0) writer.tag(2, WireType.Varint).int32(nanos);
  });
}

/** Whether Timestamp can hold it: the years 1 to 9999. */
export function isTimestamp(time: number): boolean {
  return time >= -62_135_596_800_000 && time <= 253_402_300_799_999;
}

export const readBool = field1(WireType.Varint, (reader) => reader.bool(), false);
const readAnyInt64 = field1(WireType.Varint, (reader) => safe(reader.int64()), 0);
export const readUInt64 = field1(WireType.Varint, (reader) => safe(reader.uint64()), 0);
export const readInt32 = field1(WireType.Varint, (reader) => reader.int32(), 0);
export const readUInt32 = field1(WireType.Varint, (reader) => reader.uint32(), 0);
export const readDouble = field1(WireType.Bit64, (reader) => reader.double(), 0);
export const readFloat = field1(WireType.Bit32, (reader) => reader.float(), 0);
export const readString = field1(WireType.LengthDelimited, (reader) => reader.string(true), '');
/** A copy, which slice() of a Buffer is not: what user code does to it must not reach the record. */
export const readBytes = field1(WireType.LengthDelimited, (reader) => new Uint8Array(reader.bytes()), NO_BYTES);

/** A reader costs more than most integers: those of up to 49 bits that stand alone are read without one. */
export function readInt64(bytes: Uint8Array): number | bigint {
  const { length } = bytes;
  if (length < 2 || length > 8 || bytes[0] !== FIELD_1_VARINT || (bytes[length - 1] ?? 0x80) >= 0x80) {
    return readAnyInt64(bytes);
  }
  let value = 0;
  for (let at = length - 1; at > 0; at--) {
    const byte = bytes[at] ?? 0;
    // It ends before the last byte: more fields follow.
    if (at < length - 1 && byte < 0x80) return readAnyInt64(bytes);
    value = value * 0x80 + (byte & 0x7f);
  }
  return value;
}

/** Finer than a millisecond is cut off. */
export function readTimestamp(bytes: Uint8Array): Date {
  const reader = new BinaryReader(bytes);
  let seconds = 0;
  let nanos = 0;
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1 && type === WireType.Varint) seconds = Number(reader.int64());
    else if (field === 2 && type === WireType.Varint) nanos = reader.int32();
    else reader.skip(type, field);
  }
  const date = new Date(seconds * 1000 + Math.floor(nanos / 1_000_000));
  if (nanos < 0 || nanos > 999_999_999 || Number.isNaN(date.getTime())) throw new RangeError('out of range');
  return date;
}

function writeField1(length: number, fill: (target: Uint8Array) => unknown): Uint8Array {
  const prefix = length < 0x80 ? 2 : length < 0x4000 ? 3 : length < 0x200000 ? 4 : length < 0x10000000 ? 5 : 6;
  const bytes = new Uint8Array(prefix + length);
  bytes[0] = FIELD_1_BYTES;
  let rest = length;
  for (let at = 1; at < prefix; at++) {
    bytes[at] = (rest & 0x7f) | (at < prefix - 1 ? 0x80 : 0);
    rest >>>= 7;
  }
  fill(bytes.subarray(prefix));
  return bytes;
}

/** Reads a message whose field 1 is all that counts. The last one wins, as protobuf has it. */
function field1<T>(wireType: WireType, read: (reader: BinaryReader) => T, absent: T): (bytes: Uint8Array) => T {
  return (bytes) => {
    const reader = new BinaryReader(bytes);
    let value = absent;
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field !== 1) reader.skip(type, field);
      else if (type === wireType) value = read(reader);
      else throw new RangeError('field 1 has another type');
    }
    if (reader.pos > reader.len) throw new RangeError('it ends early');
    return value;
  };
}

function safe(integer: bigint | string): number | bigint {
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : BigInt(integer);
}
