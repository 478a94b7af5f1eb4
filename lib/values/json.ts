import { BinaryReader, type BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { kindOf } from './kind.js';
import { MAX_BYTES, MAX_DEPTH, refuseSize } from './refusal.js';
import { isWellFormed } from './scalar.js';
import { bytesOf } from './writer.js';

/** JSON-like values as `google.protobuf.Value` (struct.proto), written and read without the messages in between. */

/**
 * Encodes an object or array as a Value; undefined when it holds more than JSON: then it is a graph.
 *
 * One pass writes and decides at the same time. Objects that are there twice are written twice, as JSON does.
 */
export function writeJson(value: object, path: string): Uint8Array | undefined {
  return bytesOf((writer) => new JsonWriter(writer, path).value(value, '', true));
}

/** From so many objects and arrays on they are looked at for such as were written before. */
const TRACKED_FROM = 10_000;
/** So often may such be written once more; what repeats itself more than that is a graph. */
const MAX_REPEATS = 10_000;

class JsonWriter {
  private readonly ancestors: object[] = [];
  private containers = 0;
  private repeats = 0;
  private written: Set<object> | undefined;
  /** Estimated from below: what is shared may unfold into far more than is in memory. */
  private bytes = 0;

  constructor(
    private readonly writer: BinaryWriter,
    private readonly path: string,
  ) {}

  /** @returns whether it was JSON; what is written is of no use otherwise */
  value(value: unknown, key: string, callToJson: boolean): boolean {
    this.bytes += typeof value === 'string' ? value.length + 4 : typeof value === 'number' ? 11 : 4;
    if (this.bytes > MAX_BYTES) throw refuseSize(this.path);
    switch (typeof value) {
      case 'string':
        if (!isWellFormed(value)) return false;
        this.writer.tag(3, WireType.LengthDelimited).string(value);
        return true;
      case 'number':
        if (!Number.isFinite(value)) return false;
        this.writer.tag(2, WireType.Bit64).double(value);
        return true;
      case 'boolean':
        this.writer.tag(4, WireType.Varint).bool(value);
        return true;
      case 'undefined':
        return this.null();
      case 'object':
        return value === null ? this.null() : this.object(value, key, callToJson);
      default:
        return false;
    }
  }

  private null(): true {
    this.writer.tag(1, WireType.Varint).uint32(0);
    return true;
  }

  private object(value: object, key: string, callToJson: boolean): boolean {
    const kind = kindOf(value);
    switch (kind) {
      case 'boxed':
        return this.value(value.valueOf(), key, false);
      case 'json':
        return callToJson ? this.value(toJson(value, key), key, false) : this.nested(value, () => this.struct(value));
      case 'object':
        return this.nested(value, () => this.struct(value));
      case 'array':
        return this.nested(value, () => this.list(value as readonly unknown[]));
      default:
        return false;
    }
  }

  private nested(value: object, write: () => boolean): boolean {
    if (this.ancestors.length >= MAX_DEPTH || this.ancestors.includes(value) || this.unfolds(value)) return false;
    this.ancestors.push(value);
    const json = write();
    this.ancestors.pop();
    return json;
  }

  /** A few hundred bytes of shared objects may unfold into more than there is memory for: a graph keeps them shared. */
  private unfolds(value: object): boolean {
    if (++this.containers < TRACKED_FROM) return false;
    this.written ??= new Set();
    if (!this.written.has(value)) this.written.add(value);
    else this.repeats++;
    return this.repeats > MAX_REPEATS;
  }

  private list(values: readonly unknown[]): boolean {
    this.writer.tag(6, WireType.LengthDelimited).fork();
    // By index: holes are elements too.
    for (let index = 0; index < values.length; index++) {
      this.writer.tag(1, WireType.LengthDelimited).fork();
      if (!this.value(values[index], String(index), true)) return false;
      this.writer.join();
    }
    this.writer.join();
    return true;
  }

  private struct(value: object): boolean {
    this.writer.tag(5, WireType.LengthDelimited).fork();
    for (const key of Object.keys(value)) {
      const property = (value as Record<string, unknown>)[key];
      if (property !== undefined && !this.entry(key, property)) return false;
    }
    this.writer.join();
    return true;
  }

  private entry(key: string, property: unknown): boolean {
    const value = hasToJson(property) ? toJson(property, key) : property;
    if (value === undefined) return true;
    if (!isWellFormed(key)) return false;
    this.bytes += key.length;
    this.writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string(key);
    this.writer.tag(2, WireType.LengthDelimited).fork();
    if (!this.value(value, key, false)) return false;
    this.writer.join().join();
    return true;
  }
}

/** Whether an object says itself what it is as JSON, and is nothing that is recorded as what it is. */
function hasToJson(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  return typeof (value as { toJSON?: unknown }).toJSON === 'function' && kindOf(value) === 'json';
}

/** Calls `toJSON` as JSON.stringify does. */
export function toJson(value: object, key: string): unknown {
  return (value as { toJSON(key: string): unknown }).toJSON(key);
}

/** Reads a Value. */
export function readJson(bytes: Uint8Array): unknown {
  const reader = new BinaryReader(bytes);
  return readValue(reader, reader.len, 0);
}

/** Reads a Struct as an object. */
export function readStruct(bytes: Uint8Array): object {
  const reader = new BinaryReader(bytes);
  return readObject(reader, reader.len, 0);
}

/** Reads a ListValue as an array. */
export function readList(bytes: Uint8Array): unknown[] {
  const reader = new BinaryReader(bytes);
  return readArray(reader, reader.len, 0);
}

function readValue(reader: BinaryReader, end: number, depth: number): unknown {
  let value: unknown = null;
  while (reader.pos < end) {
    const [field, type] = reader.tag();
    switch (field) {
      case 1:
        expect(type, WireType.Varint);
        reader.uint32();
        value = null;
        break;
      case 2:
        expect(type, WireType.Bit64);
        value = reader.double();
        break;
      case 3:
        expect(type, WireType.LengthDelimited);
        value = reader.string(true);
        break;
      case 4:
        expect(type, WireType.Varint);
        value = reader.bool();
        break;
      case 5:
        value = readObject(reader, endOf(reader, type, end), depth + 1);
        break;
      case 6:
        value = readArray(reader, endOf(reader, type, end), depth + 1);
        break;
      default:
        reader.skip(type, field);
    }
  }
  return ended(reader, end, value);
}

function readObject(reader: BinaryReader, end: number, depth: number): Record<string, unknown> {
  checkDepth(depth);
  const object: Record<string, unknown> = {};
  while (reader.pos < end) {
    const [field, type] = reader.tag();
    if (field === 1) readEntry(reader, endOf(reader, type, end), depth, object);
    else reader.skip(type, field);
  }
  return ended(reader, end, object);
}

function readEntry(reader: BinaryReader, end: number, depth: number, object: Record<string, unknown>): void {
  let key = '';
  let value: unknown = null;
  while (reader.pos < end) {
    const [field, type] = reader.tag();
    if (field === 1) {
      expect(type, WireType.LengthDelimited);
      key = reader.string(true);
    } else if (field === 2) value = readValue(reader, endOf(reader, type, end), depth);
    else reader.skip(type, field);
  }
  ended(reader, end, undefined);
  setOwn(object, key, value);
}

function readArray(reader: BinaryReader, end: number, depth: number): unknown[] {
  checkDepth(depth);
  const array: unknown[] = [];
  while (reader.pos < end) {
    const [field, type] = reader.tag();
    if (field === 1) array.push(readValue(reader, endOf(reader, type, end), depth));
    else reader.skip(type, field);
  }
  return ended(reader, end, array);
}

/** Sets data and never a prototype. */
export function setOwn(object: object, key: string, value: unknown): void {
  if (key === '__proto__') {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    (object as Record<string, unknown>)[key] = value;
  }
}

function endOf(reader: BinaryReader, type: WireType, outer: number): number {
  expect(type, WireType.LengthDelimited);
  const length = reader.uint32();
  const end = reader.pos + length;
  if (end > outer) throw new RangeError('it ends early');
  return end;
}

function ended<T>(reader: BinaryReader, end: number, value: T): T {
  if (reader.pos !== end) throw new RangeError('a part is longer than the whole');
  return value;
}

function expect(type: WireType, expected: WireType): void {
  if (type !== expected) throw new RangeError('a field has another type');
}

function checkDepth(depth: number): void {
  if (depth > MAX_DEPTH) throw new RangeError(`it is nested more than ${MAX_DEPTH} levels deep`);
}
