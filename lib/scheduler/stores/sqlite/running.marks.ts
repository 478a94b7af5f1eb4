import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { DispatchId } from '../../store.js';
import { thrown } from './driver.js';
import { storeError } from './errors.js';

/**
 * The file `-running`: who owns the store, and which calls are being run. It is written without fsync, so that it survives
 * the death of the process and costs next to nothing. 64-byte records: the header, then one slot for each call that runs.
 *
 *     header: magic (8), pid (u32), CRC-32 of the 12 bytes before (u32)
 *     slot:   CRC-32 of what follows (u32), length (u8), id (UTF-8); a free slot is all zero
 *
 * A record whose checksum is wrong (torn, or the machine died) counts as free.
 */
const RECORD = 64;
const ID_OFFSET = 5;
const MAX_ID_BYTES = RECORD - ID_OFFSET;
const MAGIC = Buffer.from('NDRUN\0\0\x01', 'latin1');
/** More calls than ever run at once: what is beyond is not read. */
const MAX_SLOTS = 1 << 20;

export class RunningMarks {
  /** What the file holds, or will hold once a failed write has been made up for. */
  private records: Buffer;
  private readonly slots = new Map<DispatchId, number>();
  /** Taken before the file grows: it has as many slots as calls ran at once. */
  private readonly free: number[] = [];
  private dirtyFrom = Infinity;
  private dirtyTo = 0;

  private constructor(
    private readonly path: string,
    private readonly fd: number,
    marked: readonly DispatchId[],
  ) {
    this.records = Buffer.alloc(RECORD * (marked.length + 16));
    MAGIC.copy(this.records);
    this.records.writeUInt32LE(process.pid, 8);
    this.records.writeUInt32LE(crc32(this.records.subarray(0, 12)), 12);
    this.touch(0);
    this.mark(marked);
  }

  /** Takes over the file of the store at `store`: marks that a former owner left stay until they are unmarked. */
  static open(store: string): { readonly marks: RunningMarks; readonly left: DispatchId[] } {
    const path = `${store}-running`;
    try {
      const left = readMarks(path);
      // Written over in place, then cut: the former marks are in the file at any moment.
      const marks = new RunningMarks(path, openSync(path, constants.O_RDWR | constants.O_CREAT), left);
      ftruncateSync(marks.fd, marks.write());
      return { marks, left };
    } catch (error) {
      throw storeError(error, path);
    }
  }

  /** Who owns the store at `store`, if that can be read. */
  static ownerPid(store: string): number | undefined {
    try {
      return pidOf(readHead(`${store}-running`, RECORD));
    } catch {
      return undefined;
    }
  }

  update(started: readonly DispatchId[], ended: readonly DispatchId[]): void {
    for (const id of ended) this.unmark(id);
    this.mark(started);
    this.write();
  }

  /** Removes the file: nothing runs. */
  close(): void {
    closeSync(this.fd);
    rmSync(this.path, { force: true });
  }

  private mark(ids: readonly DispatchId[]): void {
    for (const id of ids) {
      const length = Buffer.byteLength(id);
      // An id that is no id of ours (32 hex digits) only loses its count of crashes.
      if (this.slots.has(id) || length > MAX_ID_BYTES) continue;
      const slot = this.free.pop() ?? this.slots.size + 1;
      this.slots.set(id, slot);
      const record = this.record(slot);
      record.fill(0);
      record.writeUInt8(length, 4);
      record.write(id, ID_OFFSET);
      record.writeUInt32LE(crc32(record.subarray(4)), 0);
      this.touch(slot);
    }
  }

  private unmark(id: DispatchId): void {
    const slot = this.slots.get(id);
    if (slot === undefined) return;
    this.slots.delete(id);
    this.free.push(slot);
    this.record(slot).fill(0);
    this.touch(slot);
  }

  private record(slot: number): Buffer {
    const end = (slot + 1) * RECORD;
    if (end > this.records.length) this.records = Buffer.concat([this.records], Math.max(end, this.records.length * 2));
    return this.records.subarray(end - RECORD, end);
  }

  private touch(slot: number): void {
    this.dirtyFrom = Math.min(this.dirtyFrom, slot * RECORD);
    this.dirtyTo = Math.max(this.dirtyTo, (slot + 1) * RECORD);
  }

  /**
   * Writes all that changed at once; returns where that ends. On a full disk it waits for the next time: no more than counts
   * of crashes is at stake, and runs must not fail for it.
   */
  private write(): number {
    const end = this.dirtyTo;
    if (end === 0) return 0;
    try {
      const length = end - this.dirtyFrom;
      if (writeSync(this.fd, this.records, this.dirtyFrom, length, this.dirtyFrom) < length) return end;
    } catch {
      return end;
    }
    this.dirtyFrom = Infinity;
    this.dirtyTo = 0;
    return end;
  }
}

function readMarks(path: string): DispatchId[] {
  const file = readHead(path, RECORD * (MAX_SLOTS + 1));
  if (pidOf(file) === undefined) return [];
  const ids = new Set<DispatchId>();
  for (let at = RECORD; at + RECORD <= file.length; at += RECORD) {
    const record = file.subarray(at, at + RECORD);
    const length = record.readUInt8(4);
    if (length === 0 || length > MAX_ID_BYTES || record.readUInt32LE(0) !== crc32(record.subarray(4))) continue;
    ids.add(record.toString('utf8', ID_OFFSET, ID_OFFSET + length));
  }
  return [...ids];
}

function pidOf(file: Buffer): number | undefined {
  const valid =
    file.length >= RECORD && file.subarray(0, 8).equals(MAGIC) && file.readUInt32LE(12) === crc32(file.subarray(0, 12));
  return valid ? file.readUInt32LE(8) : undefined;
}

/** The first bytes of a file, at most `limit`; empty when it is not there. */
function readHead(path: string, limit: number): Buffer {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (thrown(error, 'code') === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
  try {
    const head = Buffer.alloc(Math.min(fstatSync(fd).size, limit));
    return head.subarray(0, readSync(fd, head, 0, head.length, 0));
  } finally {
    closeSync(fd);
  }
}
