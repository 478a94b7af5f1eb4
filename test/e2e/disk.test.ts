import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable, Logger, type INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { DispatchClient, DispatchFunction, DispatchModule, StoreWriteError } from '../../lib/index.js';
import { SqliteStore, type Mutation, type Store } from '../../lib/scheduler/index.js';

@Injectable()
class Work {
  gate: Promise<unknown> = Promise.resolve();

  @DispatchFunction()
  async length(text: string): Promise<number> {
    await this.gate;
    return text.length;
  }
  @DispatchFunction()
  async twice(text: string): Promise<number> {
    return (await this.length(text)) + (await this.length(`${text}!`));
  }
}

/** A disk that can be full, and have room again. */
class Disk extends SqliteStore {
  isFull = false;
  override commit(mutations: readonly Mutation[]): Promise<void> {
    if (this.isFull) return Promise.reject(new StoreWriteError(`The store ${this.name} cannot be written: disk full.`));
    return super.commit(mutations);
  }
}

let folder: string;
let path: string;
const apps: INestApplicationContext[] = [];
let errors: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dispatch-disk-'));
  path = join(folder, 'calls.db');
  errors = [];
  for (const level of ['error', 'warn'] as const) {
    jest.spyOn(Logger.prototype, level).mockImplementation((line: unknown) => void errors.push(String(line)));
  }
});

afterEach(async () => {
  jest.restoreAllMocks();
  for (const app of apps.splice(0)) await app.close();
  rmSync(folder, { recursive: true, force: true });
});

async function start(store: Store): Promise<{ app: INestApplicationContext; client: DispatchClient; work: Work }> {
  const app = await Test.createTestingModule({
    imports: [DispatchModule.forRoot({ scheduler: { store, shutdownGrace: '1s' } })],
    providers: [Work],
  }).compile();
  apps.push(app);
  await app.init();
  return { app, client: app.get(DispatchClient), work: app.get(Work) };
}

/** Dispatches until the store refuses; returns what was acknowledged, and the refusal. */
async function fill(client: DispatchClient, work: Work): Promise<{ ids: string[]; refusal: unknown }> {
  const ids: string[] = [];
  for (;;) {
    try {
      ids.push(await client.dispatch(work.twice, `${ids.length}`.padEnd(3000, 'x')));
    } catch (refusal) {
      return { ids, refusal };
    }
  }
}

describe('a full disk', () => {
  it('refuses calls, and finishes those that it had acknowledged after a start with more room', async () => {
    const { app, client, work } = await start(new SqliteStore(path, { maxPages: 60 }));
    // Nothing ends before the disk is full.
    let open = (): void => undefined;
    work.gate = new Promise<void>((resolve) => (open = resolve));
    const { ids, refusal } = await fill(client, work);
    expect(ids.length).toBeGreaterThan(5);
    expect(refusal).toBeInstanceOf(StoreWriteError);
    expect((refusal as Error).message).toContain(path);
    expect((refusal as Error).message).toContain('disk is full');
    await expect(client.get(ids[0] ?? '')).resolves.toMatchObject({ function: 'Work.twice' });
    open();
    await app.close();
    expect(errors).toContainEqual(expect.stringContaining('could not write'));

    const second = await start(new SqliteStore(path));
    const results = await Promise.all(ids.map((id) => second.client.wait(id)));
    expect(results).toEqual(ids.map(() => 6001));
  }, 60_000);

  it('holds calls up, says so once, and lets them go on when there is room again', async () => {
    const disk = new Disk(path);
    const { client, work } = await start(disk);
    let open = (): void => undefined;
    work.gate = new Promise<void>((resolve) => (open = resolve));
    const ids = await Promise.all(['a', 'bb', 'ccc'].map((text) => client.dispatch(work.twice, text)));
    disk.isFull = true;
    await expect(client.dispatch(work.twice, 'no room')).rejects.toBeInstanceOf(StoreWriteError);
    await expect(client.dispatch(work.twice, 'no room')).rejects.toBeInstanceOf(StoreWriteError);
    const results = Promise.all(ids.map((id) => client.wait(id)));
    open();
    await expect(client.call(work.twice, 'no room')).rejects.toBeInstanceOf(StoreWriteError);
    await expect(client.list({ state: 'succeeded', roots: true })).resolves.toMatchObject({ calls: [] });
    expect(errors).toEqual([expect.stringContaining('could not write')]);
    expect(errors[0]).toContain(path);
    expect(errors[0]).not.toContain('..');
    expect(errors[0]).toContain('Nothing that was acknowledged is lost');

    disk.isFull = false;
    await expect(results).resolves.toEqual([3, 5, 7]);
    await expect(client.call(work.twice, 'room')).resolves.toBe(9);
    expect(errors).toHaveLength(1);
  }, 60_000);
});
