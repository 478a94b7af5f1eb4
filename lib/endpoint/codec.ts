import { fromBinary, fromJsonString, toBinary, toJsonString } from '@bufbuild/protobuf';
import {
  RunRequestSchema,
  RunResponseSchema,
  type RunRequest,
  type RunResponse,
} from '../gen/dispatch/sdk/v1/function_pb.js';
import { messageTypes as registry } from '../values/index.js';
import { ConnectError, JSON_TYPE, PROTO_TYPE } from './connect.js';

/** How messages are written in one content type. */
export interface Codec {
  readonly contentType: string;
  /** Throws what protobuf throws when the body is no RunRequest. */
  decode(body: Uint8Array): RunRequest;
  /** Throws what protobuf throws for what the content type cannot say: JSON has no form for an `Any` of an unknown type. */
  encode(response: RunResponse): Uint8Array;
}

const binary: Codec = {
  contentType: PROTO_TYPE,
  decode: (body) => fromBinary(RunRequestSchema, body),
  encode: (response) => toBinary(RunResponseSchema, response),
};

const json: Codec = {
  contentType: JSON_TYPE,
  decode: (body) =>
    fromJsonString(RunRequestSchema, new TextDecoder('utf-8', { fatal: true }).decode(body), {
      registry,
      ignoreUnknownFields: true,
    }),
  encode: (response) => new TextEncoder().encode(toJsonString(RunResponseSchema, response, { registry })),
};

/**
 * The codec of a request, which is also that of its answer.
 *
 * @throws ConnectError for a content type or an encoding that is not spoken here
 */
export function codecOf(contentType: string | undefined, contentEncoding: string | undefined): Codec {
  // No encoding is accepted, so no small request can unfold into a large one.
  if (contentEncoding !== undefined && !/^(identity)?$/i.test(contentEncoding.trim())) {
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
