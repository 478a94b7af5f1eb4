import { crc32 } from 'node:zlib';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import {
  JournalSchema,
  StartSchema,
  type Delivery,
  type Operation,
  type Round,
} from '../gen/nestjs_dispatch/v1/journal_pb.js';
import { EMPTY_JOURNAL, type JournalPosition } from '../protocol/index.js';

/** A journal that has more bytes or entries than this warns once. */
export const JOURNAL_WARN_BYTES = 4 * 1024 * 1024;
export const JOURNAL_WARN_ENTRIES = 10_000;
/** A journal that has more bytes than this fails its call: it would not fit into a message of the protocol for long. */
export const JOURNAL_MAX_BYTES = 12 * 1024 * 1024;

export interface JournalContents {
  readonly input: Any | undefined;
  readonly incarnation: number | undefined;
  /** The version of the function that wrote it; empty for none. */
  readonly version: string;
  readonly rounds: Round[];
}

export function readJournal(bytes: Uint8Array): JournalContents {
  const journal = fromBinary(JournalSchema, bytes);
  return {
    input: journal.start?.input,
    incarnation: journal.start?.incarnation,
    version: journal.version,
    rounds: journal.rounds,
  };
}

export function encodeStart(input: Any | undefined, incarnation: number): Uint8Array {
  return toBinary(JournalSchema, create(JournalSchema, { start: create(StartSchema, { input, incarnation }) }));
}

/** @param now milliseconds since 1970 */
export function makeDelivery(
  now: number,
  { results = [], timers = [], steps = [], cancelled = false }: Partial<Omit<Delivery, 'time' | '$typeName'>>,
): Delivery {
  const time = BigInt(Math.floor(now));
  return { $typeName: 'nestjs_dispatch.v1.Delivery', time, results, timers, steps, cancelled };
}

export function makeRound(delivery: Delivery | undefined, operations: Operation[]): Round {
  return { $typeName: 'nestjs_dispatch.v1.Round', delivery, operations };
}

export function advance(position: JournalPosition, chunk: Uint8Array): JournalPosition {
  if (chunk.length === 0) return position;
  return { bytes: position.bytes + chunk.length, digest: crc32(chunk, position.digest) };
}

export function positionOf(journal: Uint8Array): JournalPosition {
  return advance(EMPTY_JOURNAL, journal);
}

export const samePosition = (a: JournalPosition, b: JournalPosition): boolean =>
  a.bytes === b.bytes && a.digest === b.digest;
