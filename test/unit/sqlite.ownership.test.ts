import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StoreLockedError } from '../../lib/scheduler/store.js';
import { SqliteStore } from '../../lib/scheduler/stores/index.js';
import { idOf, rootCall } from '../contract/calls.js';
import { driversHere, StoreProcess } from '../support/sqlite.js';

// Real processes take their time to start on a busy machine.
jest.setTimeout(120_000);

describe.each(driversHere)('the owner of a SQLite store on %s', (driver) => {
  let directory: string;
  let path: string;
  const processes: StoreProcess[] = [];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'store-'));
    path = join(directory, 'dispatch.db');
  });
  afterEach(async () => {
    await Promise.all(processes.splice(0).map((child) => child.kill()));
    await rm(directory, { recursive: true });
  });

  const storeAt = (file: string, lockTimeout = 0) => new SqliteStore(file, { driver, lockTimeout });
  const start = (options?: ConstructorParameters<typeof StoreProcess>[2]) => {
    const child = new StoreProcess(path, driver, options);
    processes.push(child);
    return child;
  };

  it('keeps another store of the same process out, under any name of the file', async () => {
    const owner = storeAt(path);
    await owner.open();
    await symlink(directory, join(directory, 'link'));
    for (const file of [path, join(directory, '.', 'dispatch.db'), join(directory, 'link', 'dispatch.db')]) {
      await expect(storeAt(file).open()).rejects.toThrow(`this process (pid ${process.pid})`);
    }
    await owner.commit([rootCall(idOf(1))]);
    await owner.close();
    const next = storeAt(path);
    await next.open();
    expect(await next.get(idOf(1))).toBeDefined();
    await next.close();
  });

  it('keeps another process out, which says who owns it and what to do', async () => {
    const owner = start();
    expect(await owner.line()).toBe('open');
    const open = storeAt(path).open();
    await expect(open).rejects.toBeInstanceOf(StoreLockedError);
    await expect(open).rejects.toThrow(new RegExp(`${path}.*pid ${owner.pid}.*DISPATCH_STORE.*PostgreSQL`, 's'));
  });

  it('hands over to a store that waits, when it closes', async () => {
    const owner = storeAt(path);
    await owner.open();
    const next = storeAt(path, 60_000);
    const opened = next.open();
    await owner.close();
    await opened;
    await next.close();
  });

  it('hands over to a store that waits, when its process is killed', async () => {
    const owner = start();
    expect(await owner.line()).toBe('open');
    const next = storeAt(path, 60_000);
    const opened = next.open();
    await owner.kill();
    await opened;
    await next.close();
  });

  it('is one of many processes that start at the same moment', async () => {
    const contenders = Array.from({ length: 4 }, () => start({ lockTimeout: 1500 }));
    const outcomes = await Promise.all(contenders.map((contender) => contender.line()));
    expect(outcomes.sort()).toEqual(['StoreLockedError', 'StoreLockedError', 'StoreLockedError', 'open']);
  });

  it('closes its file and leaves nothing of a running process behind', async () => {
    const owner = start();
    expect(await owner.line()).toBe('open');
    expect(existsSync(`${path}-running`)).toBe(true);
    await owner.end();
    expect(existsSync(`${path}-running`)).toBe(false);
    const next = storeAt(path);
    await next.open();
    await next.close();
  });

  it('does not own the file when opening it fails', async () => {
    await mkdir(`${path}-running`);
    await expect(storeAt(path).open()).rejects.toThrow(`${path}-running`);
    await rm(`${path}-running`, { recursive: true });
    const store = storeAt(path);
    await store.open();
    await store.close();
  });

  it('makes the directories of its file', async () => {
    const store = storeAt(join(directory, 'a', 'b', 'dispatch.db'));
    await store.open();
    await store.close();
    expect(existsSync(join(directory, 'a', 'b', 'dispatch.db'))).toBe(true);
  });

  it('says so where no directory can be made', async () => {
    await symlink(join(directory, 'not-mounted'), join(directory, 'disk'));
    const file = join(directory, 'disk', 'data', 'dispatch.db');
    await expect(storeAt(file).open()).rejects.toThrow(`The store ${file} cannot be opened or written`);
  });
});
