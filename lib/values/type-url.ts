import type { Any } from '@bufbuild/protobuf/wkt';

const GOOGLE = 'type.googleapis.com/';
const DISPATCH = 'buf.build/stealthrocket/dispatch-proto/';
const EXTENSION = 'nestjs_dispatch.v1.';

/** The type URL that a message type is written with. */
export function typeUrlOf(typeName: string): string {
  return (typeName.startsWith('dispatch.sdk.') ? DISPATCH : GOOGLE) + typeName;
}

/** The message type that an Any holds: what follows the last slash, whatever stands before it. */
export function typeNameOf(any: Any): string {
  return any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1);
}

/** Whether an Any holds one of this package's own types, which only peers that negotiated the extension can read. */
export function isExtendedAny(any: Any | undefined): boolean {
  return any !== undefined && typeNameOf(any).startsWith(EXTENSION);
}

/** What `create` makes of it, at a tenth of its time: each argument and each result is one. */
export function anyOf(typeUrl: string, value: Uint8Array): Any {
  return { $typeName: 'google.protobuf.Any', typeUrl, value };
}
