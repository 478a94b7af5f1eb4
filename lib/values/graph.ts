import * as devalue from 'devalue';
import type { Message } from '@bufbuild/protobuf';
import { InvalidArgumentError } from '../errors/index.js';
import { complete, type ErrorParts, shellOf } from './error.parts.js';
import { copyGraph, ErrorNode, MessageNode } from './graph.copy.js';
import { readMessage } from './message.registry.js';
import { malformed } from './refusal.js';
import { readString, writeString } from './scalar.js';

/**
 * Values with more in them than JSON, as text of devalue. Three things are ours: errors and protobuf messages are
 * types of their own, and what an application put into it is copied first, by the rules of `copyGraph`.
 */

export const GRAPH_TYPE = 'nestjs_dispatch.v1.Graph';

const WRITERS = {
  Error: (node: unknown) => node instanceof ErrorNode && node.parts,
  Message: (node: unknown) => node instanceof MessageNode && [node.typeName, node.bytes],
};

/** @throws InvalidArgumentError with the path of what cannot be recorded */
export function writeGraph(value: unknown, path: string): Uint8Array {
  const copy = copyGraph(value, path);
  try {
    return writeString(devalue.stringify(copy, WRITERS));
  } catch (error) {
    throw new InvalidArgumentError(
      `${path} cannot be recorded (${error instanceof Error ? error.message : String(error)}): pass plain data made from it`,
      { cause: error },
    );
  }
}

/** @throws InvalidArgumentError when the bytes do not hold a graph */
export function readGraph(bytes: Uint8Array): unknown {
  try {
    const errors = new GraphErrors();
    const value: unknown = devalue.parse(
      readString(bytes),
      { Error: (parts: unknown) => errors.shell(parts), Message: messageOf },
      { operations: { createSparseArray: refuseSparse } },
    );
    errors.complete();
    return value;
  } catch (error) {
    throw malformed(GRAPH_TYPE, error);
  }
}

/** Errors may contain each other, so they are made empty first and completed when all is read. */
class GraphErrors {
  private readonly made = new Map<object, Error>();

  shell(parts: unknown): Error {
    if (!isParts(parts)) throw new TypeError('an error without type or message');
    let error = this.made.get(parts);
    if (error === undefined) {
      error = shellOf(parts.type, parts.message);
      this.made.set(parts, error);
    }
    return error;
  }

  complete(): void {
    for (const [parts, error] of this.made) complete(error, partsFrom(parts as ErrorParts));
  }
}

/** Whether it has what an error needs at once; the rest may still be on its way and is looked at by `partsFrom`. */
function isParts(value: unknown): value is ErrorParts {
  if (typeof value !== 'object' || value === null) return false;
  const { type, message } = value as Record<string, unknown>;
  return typeof type === 'string' && typeof message === 'string';
}

function partsFrom({ type, message, stack, properties, errors, failure, ...rest }: ErrorParts): ErrorParts {
  const from = typeof failure === 'object' && failure !== null ? failure : undefined;
  return {
    type,
    message,
    stack: typeof stack === 'string' ? stack : '',
    properties: typeof properties === 'object' && properties !== null ? properties : {},
    ...('cause' in rest ? { cause: rest.cause } : {}),
    ...(Array.isArray(errors) ? { errors: errors as unknown[] } : {}),
    ...(from !== undefined && typeof from.function === 'string' && typeof from.attempt === 'number'
      ? { failure: from }
      : {}),
  };
}

function messageOf(content: unknown): Message {
  const [typeName, bytes] = Array.isArray(content) ? (content as unknown[]) : [];
  if (typeof typeName !== 'string' || !(bytes instanceof Uint8Array)) throw new TypeError('a message without a type');
  return readMessage(typeName, bytes);
}

/** Graphs are written without holes, and the length of one is not limited by the size of its text. */
function refuseSparse(): never {
  throw new TypeError('an array with holes');
}
