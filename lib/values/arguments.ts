import { create, toBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { ArgumentsSchema } from '../gen/nestjs_dispatch/v1/values_pb.js';
import { pack } from './pack.js';
import { malformed } from './refusal.js';
import { anyOf, typeNameOf, typeUrlOf } from './type-url.js';
import { ARGUMENTS_TYPE, EMPTY_TYPE, readArguments, unpack } from './unpack.js';

/**
 * Records a call's arguments: none as Empty, one as itself, so that it reads in every language, several as `Arguments`.
 *
 * @throws InvalidArgumentError with the path of what cannot be recorded, such as `args[0].items[2].callback`
 */
export function packArguments(args: readonly unknown[]): Any {
  if (args.length < 2) return pack(args[0], 'args[0]');
  // Not `map`: a hole is an argument.
  const values = Array.from(args, (argument, index) => pack(argument, `args[${index}]`));
  return anyOf(typeUrlOf(ARGUMENTS_TYPE), toBinary(ArgumentsSchema, create(ArgumentsSchema, { values })));
}

/**
 * Reads a call's arguments. A single argument that is undefined reads as none.
 *
 * @throws InvalidArgumentError as `unpack` does
 */
export function unpackArguments(input: Any | undefined): unknown[] {
  if (input === undefined) return [];
  switch (typeNameOf(input)) {
    case EMPTY_TYPE:
      return [];
    case ARGUMENTS_TYPE:
      return split(input).map((argument) => unpack(argument));
    default:
      return [unpack(input)];
  }
}

function split(input: Any): Any[] {
  try {
    return readArguments(input.value);
  } catch (error) {
    throw malformed(ARGUMENTS_TYPE, error);
  }
}
