import {
  createMutableRegistry,
  type DescMessage,
  fromBinary,
  type Message,
  type Registry,
  toBinary,
} from '@bufbuild/protobuf';
import {
  file_google_protobuf_any,
  file_google_protobuf_api,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_field_mask,
  file_google_protobuf_source_context,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_type,
  file_google_protobuf_wrappers,
} from '@bufbuild/protobuf/wkt';
import { InvalidArgumentError } from '../errors/index.js';
import { file_dispatch_sdk_v1_call } from '../gen/dispatch/sdk/v1/call_pb.js';
import { file_dispatch_sdk_v1_dispatch } from '../gen/dispatch/sdk/v1/dispatch_pb.js';
import { file_dispatch_sdk_v1_error } from '../gen/dispatch/sdk/v1/error_pb.js';
import { file_dispatch_sdk_v1_exit } from '../gen/dispatch/sdk/v1/exit_pb.js';
import { file_dispatch_sdk_v1_function } from '../gen/dispatch/sdk/v1/function_pb.js';
import { file_dispatch_sdk_v1_poll } from '../gen/dispatch/sdk/v1/poll_pb.js';
import { file_nestjs_dispatch_v1_values } from '../gen/nestjs_dispatch/v1/values_pb.js';
import { malformed } from './refusal.js';

const registry = createMutableRegistry(
  file_google_protobuf_any,
  file_google_protobuf_api,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_field_mask,
  file_google_protobuf_source_context,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_type,
  file_google_protobuf_wrappers,
  file_dispatch_sdk_v1_call,
  file_dispatch_sdk_v1_dispatch,
  file_dispatch_sdk_v1_error,
  file_dispatch_sdk_v1_exit,
  file_dispatch_sdk_v1_function,
  file_dispatch_sdk_v1_poll,
  file_nestjs_dispatch_v1_values,
);

/** The types that are known by now: proto3 JSON needs them for what an `Any` holds. */
export const messageTypes: Registry = registry;

/**
 * Makes messages of a type usable as arguments and results. The well-known types of protobuf and those of Dispatch are
 * known already.
 *
 * @param schema what protoc-gen-es generates beside the message: `registerMessageType(InvoiceSchema)`
 */
export function registerMessageType(schema: DescMessage): void {
  registry.add(schema);
}

/** @throws InvalidArgumentError when the message's type is not registered, or a field of it is wrong */
export function writeMessage(message: Message, path: string): Uint8Array {
  const schema = registry.getMessage(message.$typeName);
  if (schema === undefined) {
    throw new InvalidArgumentError(
      `${path} is a protobuf message ${message.$typeName}, which is not known here: call registerMessageType with its schema at start`,
    );
  }
  try {
    return toBinary(schema, message);
  } catch (error) {
    throw new InvalidArgumentError(
      `${path} is no valid protobuf message ${message.$typeName}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

/** @throws InvalidArgumentError when the type is not registered, or the bytes do not hold one */
export function readMessage(typeName: string, bytes: Uint8Array): Message {
  const schema = registry.getMessage(typeName);
  if (schema === undefined) {
    throw new InvalidArgumentError(
      `cannot read a value of type '${typeName}', which is not known here: call registerMessageType with its schema at ` +
        'start, or have it sent as plain data',
    );
  }
  try {
    // A copy, which slice() of a Buffer is not: fields of bytes are views of what they are read from.
    return fromBinary(schema, new Uint8Array(bytes));
  } catch (error) {
    throw malformed(typeName, error);
  }
}
