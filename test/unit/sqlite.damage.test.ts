import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { open, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StoreCorruptError, StoreError, StoreWriteError } from '../../lib/scheduler/store.js';
import { createStore, MemoryStore, PostgresStore, SqliteStore } from '../../lib/scheduler/stores/index.js';
import { loadDriver } from '../../lib/scheduler/stores/sqlite/driver.choice.js';
import { SqliteError } from '../../lib/scheduler/stores/sqlite/driver.js';
import { storeError } from '../../lib/scheduler/stores/sqlite/errors.js';
import { bytesInput, finished, idOf, purged, rootCall } from '../contract/calls.js';
import { driversHere } from '../support/sqlite.js';

describe.each(driversHere)('a SQLite store on %s', (driver) => {
  let directory: string;
  let path: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'store-'));
    path = join(directory, 'dispatch.db');
  });
  afterEach(() => rm(directory, { recursive: true }));

  const storeAt = (file: string, maxPages?: number) =>
    new SqliteStore(file, { driver, thread: false, lockTimeout: 0, maxPages });
  const execute = async (sql: string) => {
    const connection = (await loadDriver(driver)).open(path);
    connection.exec(sql);
    // Not left to the close: libsql may put that off, and another connection would move it to the file then.
    connection.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    connection.close();
  };
  const tables = async () => {
    const connection = (await loadDriver(driver)).open(path);
    const sql = `
      SELECT object.type, object.name, field.name AS field, field.type AS kind, field."notnull" AS filled, dflt_value,
        CASE object.type WHEN 'index' THEN object.sql END AS definition
      FROM sqlite_schema AS object LEFT JOIN pragma_table_info(object.name) AS field ORDER BY 1, 2, field.cid`;
    const [version] = connection.prepare('PRAGMA user_version').all();
    const found = [version, ...connection.prepare(sql).all()].map((row) => ({ ...row }));
    connection.close();
    return found;
  };
  const fill = async (calls: number) => {
    const store = storeAt(path);
    await store.open();
    await store.commit(
      Array.from({ length: calls }, (_, n) =>
        rootCall(idOf(n), { target: { input: bytesInput(Buffer.alloc(500, n)) } }),
      ),
    );
    await store.close();
  };
  const expectRefused = async (why: RegExp) => {
    const before = await readFile(path);
    const opening = storeAt(path).open();
    await expect(opening).rejects.toBeInstanceOf(StoreCorruptError);
    await expect(opening).rejects.toThrow(why);
    await expect(opening).rejects.toThrow(path);
    expect(before.equals(await readFile(path))).toBe(true);
  };

  describe('leaves a file alone that', () => {
    it.each([
      ['is text', Buffer.from('not a database, but some text\n'.repeat(200))],
      ['is a few bytes', Buffer.from('oops')],
      ['is noise', Buffer.from(Array.from({ length: 20_000 }, (_, n) => (n * n * 31) & 0xff))],
    ])('%s', async (_, content) => {
      await writeFile(path, content);
      await expectRefused(/no SQLite database.*backup.*move it away/s);
    });

    it('has been cut', async () => {
      await fill(200);
      await truncate(path, (await stat(path)).size / 2);
      await expectRefused(/damaged/);
    });

    it('is of another application', async () => {
      await execute('CREATE TABLE customers (name TEXT); INSERT INTO customers VALUES (1)');
      await expectRefused(/another application/);
      await execute('DROP TABLE customers; PRAGMA user_version = 3');
      await expectRefused(/another application/);
    });

    it('says by its mark that it is of another application', async () => {
      await execute('PRAGMA application_id = 7');
      await expectRefused(/another application/);
    });

    it('a newer version of the package wrote', async () => {
      await fill(1);
      await execute('PRAGMA user_version = 999');
      await expectRefused(/newer version.*999/s);
    });

    it('has lost a table', async () => {
      await fill(1);
      await execute('DROP TABLE journals');
      await expectRefused(/not as they were made/);
    });
  });

  it('says so when it comes upon damage later, and damages nothing more', async () => {
    await fill(2000);
    const file = await open(path, 'r+');
    const { size } = await file.stat();
    await file.write(Buffer.alloc(size - 20 * 4096, 0xa5), 0, undefined, 10 * 4096);
    await file.close();
    const store = storeAt(path);
    const recovered = (async () => {
      await store.open();
      await store.recover();
    })();
    await expect(recovered).rejects.toBeInstanceOf(StoreCorruptError);
    await expect(recovered).rejects.toThrow(path);
    await store.close().catch(() => undefined);
  });

  it('begins in an empty file, in directories that are not there yet', async () => {
    path = join(directory, 'a', 'b', 'dispatch.db');
    await fill(1);
    const empty = join(directory, 'empty.db');
    await writeFile(empty, '');
    const store = storeAt(empty);
    await store.open();
    await store.close();
  });

  it('brings the tables of an older version to this one', async () => {
    await execute(await readFile(new URL('../support/stores/version-1.sql', import.meta.url), 'utf8'));
    const store = storeAt(path);
    await store.open();
    const { rows } = await store.list({}, { limit: 10 });
    expect(rows.map(({ header, progress }) => [header.priority, header.key, progress.state])).toEqual([
      [0, '', 'pending'],
      [0, '', 'succeeded'],
    ]);
    await store.commit([finished(idOf(2)), rootCall(idOf(3), { header: { priority: 5, key: 'k' } })]);
    await store.close();
    const upgraded = await tables();
    await rm(path);
    await fill(1);
    expect(upgraded).toEqual(await tables());
  });

  it('refuses a directory that cannot be made, or written', async () => {
    await writeFile(join(directory, 'file'), '');
    for (const unwritable of [join(directory, 'file', 'dispatch.db'), '/proc/self/dispatch.db']) {
      const opening = storeAt(unwritable).open();
      await expect(opening).rejects.toBeInstanceOf(StoreWriteError);
      await expect(opening).rejects.toThrow(/dispatch\.db.*DISPATCH_STORE/s);
    }
  });

  it('refuses a path that is a directory', async () => {
    await expect(storeAt(directory).open()).rejects.toBeInstanceOf(StoreWriteError);
  });

  it.each(driversHere)('opens what %s has written', async (other) => {
    const writer = new SqliteStore(path, { driver: other, thread: false, lockTimeout: 0 });
    await writer.open();
    await writer.commit([rootCall(idOf(1)), rootCall(idOf(2)), finished(idOf(2))]);
    await writer.close();
    const store = storeAt(path);
    await store.open();
    expect(await store.recover()).toMatchObject({ calls: [{ header: { id: idOf(1) } }] });
    expect((await store.list({}, { limit: 10 })).rows).toHaveLength(2);
    await store.close();
  });

  describe('on a full disk', () => {
    const large = (n: number) => rootCall(idOf(n), { target: { input: bytesInput(Buffer.alloc(20_000, n)) } });

    it('rolls back what does not fit, and goes on when there is room', async () => {
      const store = storeAt(path, 60);
      await store.open();
      await store.commit([
        rootCall(idOf(0)),
        ...[1, 2, 3, 4].map(large),
        ...[1, 2, 3, 4].map((n) => finished(idOf(n))),
      ]);
      const commit = store.commit([
        rootCall(idOf(90)),
        ...Array.from({ length: 10 }, (_, n) => large(10 + n)),
        rootCall(idOf(91)),
      ]);
      await expect(commit).rejects.toBeInstanceOf(StoreWriteError);
      await expect(commit).rejects.toThrow(/full/);
      expect((await store.recover()).calls.map((call) => call.header.id)).toEqual([idOf(0)]);
      await expect(store.commit(Array.from({ length: 10 }, (_, n) => large(10 + n)))).rejects.toBeInstanceOf(
        StoreWriteError,
      );

      await store.commit([purged(...[1, 2, 3, 4].map(idOf))]);
      await store.commit([large(10), large(11), large(12)]);
      await store.close();
      const again = storeAt(path);
      await again.open();
      expect((await again.recover()).calls.map((call) => call.header.id)).toEqual([0, 10, 11, 12].map(idOf));
      await again.close();
    });

    it('does not open a store that it has no room for', async () => {
      await expect(storeAt(path, 2).open()).rejects.toBeInstanceOf(StoreWriteError);
      const store = storeAt(path);
      await store.open();
      await store.close();
    });
  });

  describe('takes for no mark of a running call', () => {
    const inFlight = async () => {
      const store = storeAt(path);
      await store.open();
      const found = (await store.recover()).inFlight;
      await store.close();
      return found;
    };
    /** What a killed process leaves whose calls 1 to 5 ran. */
    const marks = async () => {
      const store = storeAt(path);
      await store.open();
      store.markRunning([1, 2, 3, 4, 5].map(idOf), []);
      const left = await readFile(`${path}-running`);
      await store.close();
      return left;
    };

    it.each([0, 1, 63, 64, 5000])('%i bytes of noise', async (size) => {
      await fill(1);
      await writeFile(`${path}-running`, Buffer.alloc(size, 0x5b));
      expect(await inFlight()).toEqual([]);
    });

    it('one that is torn', async () => {
      const left = await marks();
      left.fill(0x7f, 2 * 64 + 20, 2 * 64 + 40);
      await writeFile(`${path}-running`, left.subarray(0, 5 * 64 + 30));
      expect(await inFlight()).toEqual([1, 3, 4].map(idOf));
    });

    it('any without their header', async () => {
      const left = await marks();
      left.fill(0, 8, 12);
      await writeFile(`${path}-running`, left);
      expect(await inFlight()).toEqual([]);
    });
  });

  it('has as many places for marks as calls ran at once', async () => {
    const store = storeAt(path);
    await store.open();
    for (let n = 0; n < 5000; n++) store.markRunning([idOf(n + 1)], [idOf(n)]);
    expect((await stat(`${path}-running`)).size).toBe(2 * 64);
    await store.close();
  });
});

describe('an error of SQLite', () => {
  it.each([
    [3, StoreWriteError],
    [5, StoreWriteError],
    [8, StoreWriteError],
    [8 | (4 << 8), StoreWriteError],
    [10 | (4 << 8), StoreWriteError],
    [11 | (1 << 8), StoreCorruptError],
    [13, StoreWriteError],
    [14, StoreWriteError],
    [26, StoreCorruptError],
    [1, StoreError],
  ])('with the code %i is one of the store that names its file and its cause', (code, type) => {
    const cause = new SqliteError('what it says', code, undefined);
    const error = storeError(cause, '/data/dispatch.db');
    expect(error.constructor).toBe(type);
    expect(error.message).toMatch(/\/data\/dispatch\.db.*(what it says)/s);
    expect(error.cause).toBe(cause);
  });

  it('that the file system made is one of writing', () => {
    const error = storeError(
      Object.assign(new Error('no space left'), { code: 'ENOSPC', syscall: 'write' }),
      '/data/dispatch.db',
    );
    expect(error).toBeInstanceOf(StoreWriteError);
  });
});

describe('the setting of a store', () => {
  it('names the memory or a file', () => {
    expect(createStore('memory:')).toBeInstanceOf(MemoryStore);
    for (const path of ['./.dispatch/dispatch.db', '/data/d.db', 'd.db', 'C:\\data\\d.db']) {
      expect(createStore(path)).toBeInstanceOf(SqliteStore);
      expect(createStore(path).name).toBe(path);
    }
  });

  it.each(['postgres://me:secret@host/db', 'postgresql://me:secret@host/db'])('names the database %s', (setting) => {
    expect(createStore(setting)).toBeInstanceOf(PostgresStore);
    expect(createStore(setting).name).toBe('postgres://host/db (schema dispatch)');
  });

  it.each(['', ':memory:', 'mysql://me:secret@host', 'file:/data/d.db'])('%j is refused', (setting) => {
    expect(() => createStore(setting)).toThrow(StoreError);
    expect(() => createStore(setting)).not.toThrow(/secret/);
  });
});
