import { toBinary } from '@bufbuild/protobuf';
import { StepResultSchema, type Delivery, type Operation, type Round } from '../gen/nestjs_dispatch/v1/journal_pb.js';
import { encodeResult, varintSize, writeVarint } from '../protocol/index.js';

/**
 * Protobuf's binary form of new rounds: what `toBinary` makes of a Journal that has them, at a fifth of its time. Each
 * durable call of a function writes a round.
 */

/** Tags (https://protobuf.dev/programming-guides/encoding/): the number of the field, and how it is written. */
const varint = (field: number): number => field << 3;
const fixed64 = (field: number): number => (field << 3) | 1;
const delimited = (field: number): number => (field << 3) | 2;

const JOURNAL = { rounds: delimited(1), version: delimited(3) };
const ROUND = { delivery: delimited(1), operations: delimited(2) };
const DELIVERY = {
  time: varint(1),
  results: delimited(2),
  timers: delimited(3),
  steps: delimited(4),
  cancelled: varint(5),
};
const OPERATION = {
  sequence: varint(1),
  call: delimited(2),
  timer: delimited(3),
  step: delimited(4),
  prompt: varint(5),
  beforeDelivery: varint(6),
};
const CALL = { function: delimited(1), inputKey: delimited(2), endpoint: delimited(3) };
const TIMER = { duration: fixed64(1), deadline: varint(2) };
const STEP = { name: delimited(1) };

/** @param version of the function, in the first rounds of its journal */
export function encodeRounds(rounds: readonly Round[], version: string): Uint8Array {
  const writer = new RoundWriter();
  for (const round of rounds) writer.round(round);
  if (version !== '') writer.text(JOURNAL.version, version);
  return writer.bytes();
}

const FIRST_BYTES = 256;

class RoundWriter {
  private buffer = Buffer.allocUnsafe(FIRST_BYTES);
  private end = 0;

  bytes(): Uint8Array {
    return this.buffer.subarray(0, this.end);
  }

  round({ delivery, operations }: Round): void {
    const start = this.open(JOURNAL.rounds);
    if (delivery) this.delivery(delivery);
    for (const operation of operations) this.operation(operation);
    this.close(start);
  }

  private delivery({ time, results, timers, steps, cancelled }: Delivery): void {
    const start = this.open(ROUND.delivery);
    this.integer(DELIVERY.time, Number(time));
    for (const result of results) this.chunk(DELIVERY.results, encodeResult(result));
    if (timers.length > 0) {
      const packed = this.open(DELIVERY.timers);
      for (const timer of timers) this.number(timer);
      this.close(packed);
    }
    for (const step of steps) this.chunk(DELIVERY.steps, toBinary(StepResultSchema, step));
    if (cancelled) this.integer(DELIVERY.cancelled, 1);
    this.close(start);
  }

  private operation({ sequence, kind, prompt, beforeDelivery }: Operation): void {
    const start = this.open(ROUND.operations);
    this.integer(OPERATION.sequence, sequence);
    switch (kind.case) {
      case 'call': {
        const call = this.open(OPERATION.call);
        this.text(CALL.function, kind.value.function);
        if (kind.value.inputKey.length > 0) this.chunk(CALL.inputKey, kind.value.inputKey);
        this.text(CALL.endpoint, kind.value.endpoint);
        this.close(call);
        break;
      }
      case 'timer': {
        const timer = this.open(OPERATION.timer);
        this.double(TIMER.duration, kind.value.duration);
        this.integer(TIMER.deadline, Number(kind.value.deadline));
        this.close(timer);
        break;
      }
      case 'step': {
        const step = this.open(OPERATION.step);
        this.text(STEP.name, kind.value.name);
        this.close(step);
        break;
      }
      case undefined:
    }
    if (prompt) this.integer(OPERATION.prompt, 1);
    if (beforeDelivery) this.integer(OPERATION.beforeDelivery, 1);
    this.close(start);
  }

  /** A field of text; nothing where it is empty. */
  text(tag: number, value: string): void {
    if (value === '') return;
    const length = Buffer.byteLength(value);
    this.makeRoom(length + MOST_OF_A_HEAD);
    this.number(tag);
    this.number(length);
    this.end += this.buffer.write(value, this.end);
  }

  private chunk(tag: number, value: Uint8Array): void {
    this.makeRoom(value.length + MOST_OF_A_HEAD);
    this.number(tag);
    this.number(value.length);
    this.buffer.set(value, this.end);
    this.end += value.length;
  }

  /** A field that is a whole number, not negative, up to 2^53; nothing where it is 0. */
  private integer(tag: number, value: number): void {
    if (value === 0) return;
    this.number(tag);
    this.number(value);
  }

  private double(tag: number, value: number): void {
    if (Object.is(value, 0)) return;
    this.makeRoom(MOST_OF_A_HEAD);
    this.number(tag);
    this.end = this.buffer.writeDoubleLE(value, this.end);
  }

  /** Begins a message in the message: one byte is kept for its length. */
  private open(tag: number): number {
    this.number(tag);
    this.makeRoom(MOST_OF_A_HEAD);
    return this.end++;
  }

  /** Writes the length of the message whose length stands at `start`, which moves where one byte is not enough. */
  private close(start: number): void {
    const from = start + 1;
    const length = this.end - from;
    if (length < 0x80) {
      this.buffer[start] = length;
      return;
    }
    const more = varintSize(length) - 1;
    this.makeRoom(more);
    this.buffer.copyWithin(from + more, from, this.end);
    this.end = start;
    this.number(length);
    this.end += length;
  }

  private number(value: number): void {
    this.makeRoom(MOST_OF_A_HEAD);
    this.end = writeVarint(this.buffer, this.end, value);
  }

  private makeRoom(length: number): void {
    if (this.end + length <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(2 * this.buffer.length, this.end + length));
    this.buffer.copy(larger, 0, 0, this.end);
    this.buffer = larger;
  }
}

/** Bytes that a tag with a number, a double or a length takes, at most. */
const MOST_OF_A_HEAD = 16;
