import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AnySchema, BytesValueSchema } from '@bufbuild/protobuf/wkt';
import type { Poll, PollResult } from '../gen/dispatch/sdk/v1/poll_pb.js';

const TYPE_URL = `type.googleapis.com/${BytesValueSchema.typeName}`;

/** What goes between us alone. */
export function bareState(journal: Uint8Array): Poll['state'] {
  return { case: 'coroutineState', value: journal };
}

/**
 * What other schedulers keep: the SDKs know typed states only, and the Python SDK's test scheduler loses a bare one. A
 * type that everyone knows can be shown and written as JSON by everyone.
 */
export function typedState(journal: Uint8Array): Poll['state'] {
  const value = toBinary(BytesValueSchema, create(BytesValueSchema, { value: journal }));
  return { case: 'typedCoroutineState', value: create(AnySchema, { typeUrl: TYPE_URL, value }) };
}

/** The journal in a state, in either form; undefined for a state that is not of this runtime's making. */
export function journalIn({ state }: Pick<PollResult, 'state'>): Uint8Array | undefined {
  switch (state.case) {
    case 'coroutineState':
      return state.value;
    case 'typedCoroutineState':
      return bytesIn(state.value.typeUrl, state.value.value);
    case undefined:
      return new Uint8Array();
  }
}

function bytesIn(typeUrl: string, value: Uint8Array): Uint8Array | undefined {
  if (typeUrl.slice(typeUrl.lastIndexOf('/') + 1) !== BytesValueSchema.typeName) return undefined;
  try {
    return fromBinary(BytesValueSchema, value).value;
  } catch {
    return undefined;
  }
}
