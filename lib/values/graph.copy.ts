import type { Message } from '@bufbuild/protobuf';
import { inspect, types } from 'node:util';
import { partsOf } from './error.parts.js';
import { toJson } from './json.js';
import { kindOf } from './kind.js';
import { writeMessage } from './message.registry.js';
import { MAX_BYTES, MAX_DEPTH, refuse, refuseDepth, refuseFunction, refuseKind, refuseSize } from './refusal.js';

/** An error in a graph, taken apart. */
export class ErrorNode {
  constructor(readonly parts: object) {}
}

/** A protobuf message in a graph. */
export class MessageNode {
  constructor(
    readonly typeName: string,
    readonly bytes: Uint8Array,
  ) {}
}

/**
 * A copy of a value with nothing in it but plain objects, arrays, built-in values and nodes; what is there twice, or
 * contains itself, is so in the copy.
 *
 * Unlike JSON it keeps undefined as it is. Class instances go by their own enumerable properties and `toJSON` is
 * honoured, as in JSON, but not for what is recorded as what it is (Date, URL, Buffer, Error …).
 *
 * @throws InvalidArgumentError with the path of what cannot be recorded
 */
export function copyGraph(value: unknown, path: string): unknown {
  return new Copier(path).copy(value, '');
}

class Copier {
  private readonly copies = new Map<object, unknown>();
  private readonly path: string[];
  private depth = 0;
  private bytes = 0;

  constructor(path: string) {
    this.path = [path];
  }

  copy(value: unknown, key: string): unknown {
    this.bytes += typeof value === 'string' ? value.length : 4;
    if (this.bytes > MAX_BYTES) throw refuseSize(this.path[0] ?? '');
    if (typeof value === 'function' || typeof value === 'symbol') throw refuseFunction(value, this.at());
    if (typeof value !== 'object' || value === null) return value;
    if (this.copies.has(value)) return this.copies.get(value);
    if (this.depth >= MAX_DEPTH) throw refuseDepth(this.at());
    this.depth++;
    const copy = this.object(value, key);
    this.depth--;
    return copy;
  }

  private object(value: object, key: string): unknown {
    const kind = kindOf(value);
    switch (kind) {
      case 'array':
        return this.array(value as readonly unknown[]);
      case 'object':
        return this.properties(value);
      case 'json': {
        const json = toJson(value, key);
        const copy = json === value ? this.properties(value) : this.copy(json, key);
        this.copies.set(value, copy);
        return copy;
      }
      case 'boxed':
        return this.copy(value.valueOf(), key);
      case 'date':
        return this.keep(value, new Date((value as Date).getTime()));
      case 'text':
        return this.keep(value, value);
      case 'bytes':
        return this.bytesOf(value, new Uint8Array(value as Uint8Array));
      case 'buffer':
        return this.bytesOf(value, this.buffer(value as ArrayBuffer | NodeJS.ArrayBufferView));
      case 'map':
        return this.map(value as ReadonlyMap<unknown, unknown>);
      case 'set':
        return this.set(value as ReadonlySet<unknown>);
      case 'error':
        return this.error(value as Error);
      case 'message': {
        const message = value as Message;
        return this.keep(value, new MessageNode(message.$typeName, writeMessage(message, this.at())));
      }
      case 'promise':
      case 'stream':
      case 'other':
        throw refuseKind(kind, value, this.at());
    }
  }

  private keep<T>(value: object, copy: T): T {
    this.copies.set(value, copy);
    return copy;
  }

  private array(values: readonly unknown[]): unknown[] {
    const copy: unknown[] = this.keep(values, []);
    // By index: holes are elements too.
    for (let index = 0; index < values.length; index++) {
      copy.push(this.child(`[${index}]`, values[index], String(index)));
    }
    return copy;
  }

  private properties(value: object): object {
    const copy: Record<string, unknown> = this.keep(value, {});
    for (const key of Object.keys(value)) {
      if (key === '__proto__') {
        throw refuse(this.at(), 'an object with a key __proto__ beside values that are not JSON', 'rename the key');
      }
      copy[key] = this.child(segment(key), (value as Record<string, unknown>)[key], key);
    }
    return copy;
  }

  private map(values: ReadonlyMap<unknown, unknown>): Map<unknown, unknown> {
    const copy = this.keep(values, new Map<unknown, unknown>());
    for (const [key, value] of values) {
      const name = typeof key === 'object' && key !== null ? '…' : inspect(key);
      copy.set(this.child(`.keys(${name})`, key, ''), this.child(`.get(${name})`, value, ''));
    }
    return copy;
  }

  private set(values: ReadonlySet<unknown>): Set<unknown> {
    const copy = this.keep(values, new Set());
    let index = 0;
    for (const value of values) copy.add(this.child(`.values(${index++})`, value, ''));
    return copy;
  }

  private bytesOf<T extends object>(value: object, copy: T & { byteLength: number }): T {
    this.bytes += copy.byteLength;
    return this.keep(value, copy);
  }

  /** Only the bytes that a view shows: what else is in its buffer is nobody's business. */
  private buffer(value: ArrayBuffer | NodeJS.ArrayBufferView): ArrayBuffer | NodeJS.ArrayBufferView {
    if (!ArrayBuffer.isView(value)) return value.slice(0);
    if (!types.isDataView(value)) return value.slice();
    return new DataView(value.buffer.slice(value.byteOffset, value.byteOffset + value.byteLength));
  }

  /** Properties of an error that cannot be recorded are left out: an error must always come through. */
  private error(error: Error): ErrorNode {
    const { properties, errors, ...parts } = partsOf(error);
    const copy: Record<string, unknown> = { ...parts, properties: {} };
    const node = this.keep(error, new ErrorNode(copy));
    delete copy.cause;
    if ('cause' in parts) this.optional(copy, 'cause', parts.cause, '.cause');
    for (const [key, value] of Object.entries(properties)) {
      if (key !== '__proto__') this.optional(copy.properties as Record<string, unknown>, key, value, segment(key));
    }
    if (errors !== undefined) {
      const members: Record<string, unknown> = {};
      errors.forEach((member, index) => this.optional(members, String(index), member, `.errors[${index}]`));
      copy.errors = Object.values(members);
    }
    return node;
  }

  /** Copies a part, or forgets all of it. */
  private optional(target: Record<string, unknown>, key: string, value: unknown, at: string): void {
    const { depth, bytes } = this;
    const copied = this.copies.size;
    const level = this.path.length;
    try {
      target[key] = this.child(at, value, key);
    } catch {
      this.depth = depth;
      this.bytes = bytes;
      this.path.length = level;
      for (const original of [...this.copies.keys()].slice(copied)) this.copies.delete(original);
    }
  }

  private child(at: string, value: unknown, key: string): unknown {
    this.path.push(at);
    const copy = this.copy(value, key);
    this.path.pop();
    return copy;
  }

  private at(): string {
    return this.path.join('');
  }
}

function segment(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}
