import { BinaryWriter } from '@bufbuild/protobuf/wire';

/** A writer whose buffer has grown beyond this many bytes is not kept. */
const KEPT = 64 * 1024;

/** A new writer costs more than most values: one is kept from call to call. Undefined while it is in use. */
let spare: BinaryWriter | undefined;

/**
 * The bytes that `write` writes; undefined when it says that they are of no use. It may come back here while it writes
 * (a getter of an application can do anything).
 */
export function bytesOf(write: (writer: BinaryWriter) => boolean): Uint8Array | undefined {
  const writer = spare ?? new BinaryWriter();
  spare = undefined;
  const useful = write(writer);
  const bytes = writer.finish();
  if (bytes.length <= KEPT) spare = writer;
  return useful ? bytes : undefined;
}

/** The same for what is always of use. */
export function write(fields: (writer: BinaryWriter) => unknown): Uint8Array {
  const writer = spare ?? new BinaryWriter();
  spare = undefined;
  fields(writer);
  const bytes = writer.finish();
  spare = writer;
  return bytes;
}
