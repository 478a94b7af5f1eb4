import { toBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { CallResultSchema, type CallResult } from '../../gen/dispatch/sdk/v1/call_pb.js';
import type { CallRecord } from './record.js';

/** What an object in memory costs beyond its bytes, roughly. */
const OVERHEAD = 200;

/** Counts the inputs and results that are held in memory, so that a flood of them stays in the store instead. */
export class Payloads {
  private held = 0;

  constructor(private readonly limit: number) {}

  /** Keeps the input until the call's first run, if there is room for it. */
  holdInput(record: CallRecord, input: Any | undefined): void {
    if (input === undefined) record.input = null;
    else if (this.hold(inputBytes(input))) record.input = input;
  }

  /** The input, no longer held. Undefined: the store has it. */
  takeInput(record: CallRecord): Any | null | undefined {
    const { input } = record;
    if (input) this.release(inputBytes(input));
    record.input = undefined;
    return input;
  }

  hold(bytes: number): boolean {
    if (this.held + bytes > this.limit) return false;
    this.held += bytes;
    return true;
  }

  release(bytes: number): void {
    this.held -= bytes;
  }
}

function inputBytes(input: Any): number {
  return OVERHEAD + input.value.length;
}

/** About what a result takes in memory. */
export function resultBytes(result: CallResult): number {
  const { output, error } = result;
  let bytes = OVERHEAD + (output?.value.length ?? 0);
  if (error) bytes += 2 * (error.type.length + error.message.length) + error.value.length + error.traceback.length;
  return bytes;
}

/** At least what a result takes in a message, and exactly that where it is large. */
export function resultSize(result: CallResult): number {
  const bound = 2 * resultBytes(result);
  return bound < 65_536 ? bound : toBinary(CallResultSchema, result).length + 8;
}
