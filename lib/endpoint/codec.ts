import { createRegistry, fromBinary, fromJsonString, toBinary, toJsonString } from '@bufbuild/protobuf';
import {
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
} from '@bufbuild/protobuf/wkt';
import {
  file_dispatch_sdk_v1_function,
  RunRequestSchema,
  RunResponseSchema,
  type RunRequest,
  type RunResponse,
} from '../gen/dispatch/sdk/v1/function_pb.js';
import { file_nestjs_dispatch_v1_values } from '../gen/nestjs_dispatch/v1/values_pb.js';
import { ConnectError, JSON_TYPE, PROTO_TYPE } from './connect.js';

/** How messages are written in one content type. */
export interface Codec {
  readonly contentType: string;
  decode(body: Uint8Array): RunRequest;
  encode(response: RunResponse): Uint8Array;
}

/** What an `Any` in proto3 JSON can hold: its type must be known to be written out. */
export const messageRegistry = createRegistry(
  file_google_protobuf_any,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
  file_dispatch_sdk_v1_function,
  file_nestjs_dispatch_v1_values,
);

const binary: Codec = {
  contentType: PROTO_TYPE,
  decode: (body) => fromBinary(RunRequestSchema, body),
  encode: (response) => toBinary(RunResponseSchema, response),
};

const json: Codec = {
  contentType: JSON_TYPE,
  decode: (body) =>
    fromJsonString(RunRequestSchema, new TextDecoder('utf-8', { fatal: true }).decode(body), {
      registry: messageRegistry,
      ignoreUnknownFields: true,
    }),
  encode: (response) =>
    new TextEncoder().encode(toJsonString(RunResponseSchema, response, { registry: messageRegistry })),
};

/**
 * The codec of a request, which is also that of its answer.
 *
 * @throws ConnectError for a content type or an encoding that is not spoken here
 */
export function codecOf(contentType: string | undefined, contentEncoding: string | undefined): Codec {
  if (contentEncoding !== undefined && contentEncoding !== 'identity') {
    throw new ConnectError('invalid_argument', 'compressed requests are not supported: send the body as it is');
  }
  switch (contentType?.split(';')[0]?.trim().toLowerCase()) {
    case undefined:
    case '':
    case PROTO_TYPE:
    case 'application/octet-stream':
      return binary;
    case JSON_TYPE:
      return json;
    default:
      throw new ConnectError(
        'invalid_argument',
        `the content type is not supported: send ${PROTO_TYPE} or ${JSON_TYPE}`,
      );
  }
}
