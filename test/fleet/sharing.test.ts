import { describe, expect, it } from '@jest/globals';
import { create } from '@bufbuild/protobuf';
import { anyPack, StringValueSchema } from '@bufbuild/protobuf/wkt';
import { setTimeout as delay } from 'node:timers/promises';
import { Status } from '../../lib/errors/index.js';
import type { SchedulerOptions } from '../../lib/scheduler/index.js';
import { NATIVE_ENDPOINT, NATIVE_WAIT } from '../../lib/scheduler/index.js';
import { until } from '../support/fleet.js';
import { TestFleet } from '../support/test-fleet.js';
import { callOf, Deferred, exit, failed, inputOf, joins, LOCAL, text, type Script } from '../unit/scheduler/world.js';

const fleet = TestFleet.use();
const start: TestFleet['start'] = (functions, options) => fleet.start(functions, options);
const dispatchOnly: SchedulerOptions = { run: false };
const echo: Script = (request) => exit(inputOf(request) ?? '');

describe('schedulers on one PostgreSQL database', () => {
  it('run what a process dispatched that runs nothing, and that one hears of the result', async () => {
    const client = await start({}, { scheduler: dispatchOnly });
    const worker = await start({ echo });
    const id = await client.dispatch('echo', { input: text('hello') });
    expect(await client.result(id)).toBe('hello');
    expect(worker.runs).toEqual(['echo']);
    expect(client.runs).toEqual([]);
  });

  it('leave calls of functions that nobody has until one has them, and say so once', async () => {
    const first = await start({ other: echo });
    const ids = [
      await first.dispatch('late', { input: text('a') }),
      await first.dispatch('late', { input: text('b') }),
    ];
    expect(await first.scheduler.get(ids[0] ?? '')).toMatchObject({ state: 'pending' });
    const client = await start({}, { scheduler: dispatchOnly });
    await until(() => first.log.lines.length > 0);
    const line = 'warn No process has the function late, and calls of it wait (2): start an application on the store ';
    expect(first.log.lines).toEqual([expect.stringContaining(line)]);
    const second = await start({ late: echo });
    expect(await Promise.all(ids.map((id) => first.result(id)))).toEqual(['a', 'b']);
    expect(first.runs).toEqual([]);
    expect(second.runs).toEqual(['late', 'late']);
    expect(first.log.lines).toHaveLength(1);
    expect(client.log.lines).toEqual([]);
  });

  it('give each call to one of them', async () => {
    const client = await start({}, { scheduler: dispatchOnly });
    const workers = [await start({ echo }), await start({ echo }), await start({ echo })];
    const calls = Array.from({ length: 1_000 }, (_, n) => ({
      endpoint: LOCAL,
      function: 'echo',
      input: text(String(n)),
    }));
    const ids = await client.scheduler.dispatch(calls);
    const results = await Promise.all(ids.map((id) => client.result(id)));
    expect(results).toEqual(calls.map((_, n) => String(n)));
    expect(workers.reduce((sum, { runs }) => sum + runs.length, 0)).toBe(1_000);
  });

  it('let others take what is too much for one', async () => {
    const gate = new Deferred<void>();
    const slow: Script = async (request) => {
      await gate.promise;
      return echo(request, { signal: new AbortController().signal });
    };
    const busy = await start({ slow }, { scheduler: { concurrency: 2 } });
    const idle = await start({ slow }, { scheduler: { concurrency: 2 } });
    // The one knows of the other after its next look around.
    const ids: string[] = [];
    await until(async () => {
      ids.push(await busy.dispatch('slow'));
      return idle.runs.length > 0;
    });
    gate.resolve();
    await Promise.all(ids.map((id) => busy.result(id)));
    expect(busy.runs.length + idle.runs.length).toBe(ids.length);
  });

  it('leave to one that comes new what waits at another, once each', async () => {
    const gate = new Deferred<void>();
    const slow: Script = async (request) => {
      await gate.promise;
      return echo(request, { signal: new AbortController().signal });
    };
    const parent = joins(() => [1, 2, 3, 4].map((id) => callOf({ id, function: 'slow', input: text(String(id)) })));
    const busy = await start({ slow, parent }, { scheduler: { concurrency: 2 } });
    const ids = await Promise.all(['a', 'b', 'c', 'd'].map((name) => busy.dispatch('slow', { input: text(name) })));
    const tree = await busy.dispatch('parent', { priority: 1 });
    await until(() => busy.runs.length > 1);
    const idle = await start({ slow }, { scheduler: { concurrency: 2 } });
    await until(() => idle.runs.length > 0);
    gate.resolve();
    expect(await Promise.all(ids.map((id) => busy.result(id)))).toEqual(['a', 'b', 'c', 'd']);
    expect((await busy.result(tree))?.split(',').sort()).toEqual(['1', '2', '3', '4']);
    expect([...busy.runs, ...idle.runs].filter((name) => name === 'slow')).toHaveLength(8);
  });

  it('start what others dispatch while they have more than enough of their own', async () => {
    const shortly: Script = async () => {
      await delay(1);
      return exit();
    };
    const leaves = 2_000;
    const flood = joins(() => Array.from({ length: leaves }, (_, n) => callOf({ id: n + 1, function: 'leaf' })));
    const busy = await start({ flood, leaf: shortly, single: shortly }, { scheduler: { concurrency: 2 } });
    const client = await start({}, { scheduler: dispatchOnly });
    const id = await busy.dispatch('flood');
    await until(() => busy.runs.length > 10);
    await client.result(await client.dispatch('single'));
    expect(busy.runs.filter((name) => name === 'leaf').length).toBeLessThan(leaves);
    await busy.scheduler.cancel(id);
  });

  it('start urgent calls of others before the many that they have', async () => {
    const shortly: Script = async () => {
      await delay(1);
      return exit();
    };
    const busy = await start({ work: shortly }, { scheduler: { concurrency: 2 } });
    const client = await start({}, { scheduler: dispatchOnly });
    await busy.scheduler.dispatch(Array.from({ length: 5_000 }, () => ({ endpoint: LOCAL, function: 'work' })));
    await client.result(await client.dispatch('work', { priority: 100 }));
    expect(busy.runs.length).toBeLessThan(5_000);
  });

  it('keep a tree together', async () => {
    const client = await start({}, { scheduler: dispatchOnly });
    const functions = {
      parent: joins(() => [1, 2, 3].map((id) => callOf({ id, function: 'echo', input: text(String(id)) }))),
      echo,
    };
    const workers = [await start(functions), await start(functions)];
    const ids = await Promise.all(Array.from({ length: 20 }, () => client.dispatch('parent')));
    for (const id of ids) expect((await client.result(id))?.split(',').sort()).toEqual(['1', '2', '3']);
    for (const { runs } of workers) {
      expect(runs.filter((name) => name === 'echo')).toHaveLength(
        3 * (runs.filter((name) => name === 'parent').length / 2),
      );
    }
  });

  it('wait durably for each other’s calls', async () => {
    const gate = new Deferred<void>();
    const held: Script = async () => {
      await gate.promise;
      return exit('held');
    };
    const first = await start({ held });
    const id = await first.dispatch('held');
    await until(() => first.runs.length === 1);
    const input = anyPack(StringValueSchema, create(StringValueSchema, { value: id }));
    const waits = joins(() => [callOf({ id: 1, endpoint: NATIVE_ENDPOINT, function: NATIVE_WAIT, input })]);
    const second = await start({ waits });
    const waiting = await second.dispatch('waits');
    await until(async () => (await second.scheduler.get(waiting))?.state === 'suspended');
    gate.resolve();
    expect(await second.result(waiting)).toBe('held');
  });

  it('make a call once that two of them dispatch under one id', async () => {
    const first = await start({ echo });
    const second = await start({ echo });
    const id = '0190'.padEnd(32, 'a');
    const [a, b] = await Promise.all([
      first.dispatch('echo', { id, input: text('one') }),
      second.dispatch('echo', { id, input: text('one') }),
    ]);
    expect([a, b]).toEqual([id, id]);
    expect(await Promise.all([first.result(id), second.result(id)])).toEqual(['one', 'one']);
    expect([...first.runs, ...second.runs]).toEqual(['echo']);
  });

  it('cancel a call that another one has', async () => {
    const aborted = new Deferred<string>();
    const endless: Script = (_request, { signal }) =>
      new Promise((resolve) =>
        signal.addEventListener('abort', () => {
          aborted.resolve('aborted');
          resolve(exit());
        }),
      );
    const owner = await start({ endless });
    const other = await start({});
    const id = await owner.dispatch('endless');
    await until(() => owner.runs.length === 1);
    expect(await other.scheduler.cancel(id)).toBe(true);
    expect(await aborted.promise).toBe('aborted');
    expect(await other.scheduler.wait(id)).toMatchObject({ state: 'cancelled' });
    expect(await other.scheduler.cancel(id)).toBe(false);
  });

  it('cancel a call that nobody has', async () => {
    const only = await start({ echo });
    const id = await only.dispatch('nowhere');
    expect(await only.scheduler.cancel(id)).toBe(true);
    expect(await only.scheduler.wait(id)).toMatchObject({ state: 'cancelled' });
  });

  it('take up a call again that has failed, also where one runs nothing', async () => {
    let runs = 0;
    const flaky: Script = () => {
      runs += 1;
      return runs === 1 ? failed(Status.PERMANENT_ERROR) : exit('well');
    };
    const client = await start({}, { scheduler: dispatchOnly });
    await start({ flaky });
    const id = await client.dispatch('flaky');
    expect(await client.scheduler.wait(id)).toMatchObject({ state: 'failed' });
    await client.scheduler.retry(id);
    expect(await client.result(id)).toBe('well');
  });

  it('refuse to retry a call that another one has', async () => {
    const gate = new Deferred<void>();
    const held: Script = async () => {
      await gate.promise;
      return exit('held');
    };
    const first = await start({ held });
    const second = await start({ held });
    const id = await first.dispatch('held');
    await expect(second.scheduler.retry(id)).rejects.toThrow('another process has it');
    gate.resolve();
    expect(await second.result(id)).toBe('held');
  });

  it('keep what no table can hold out of the store', async () => {
    const only = await start({ echo });
    await expect(only.dispatch('echo', { version: 'a\0b' })).rejects.toThrow('U+0000');
    await expect(only.dispatch('echo', { key: 'a\0b' })).rejects.toThrow('U+0000');
    await expect(only.dispatch('echo', { endpoint: 'https://a\0b' })).rejects.toThrow('endpoint');
    expect(await only.result(await only.dispatch('echo', { input: text('still here') }))).toBe('still here');
  });

  it('take over at once what one gives back that stops', async () => {
    const gate = new Deferred<void>();
    const stuck: Script = async () => {
      await gate.promise;
      return exit('too late');
    };
    const first = await start({ work: stuck });
    const id = await first.dispatch('work');
    await until(() => first.runs.length === 1);
    const second = await start({ work: () => exit('done') });
    await first.stop();
    expect(await second.result(id)).toBe('done');
    gate.resolve();
  });
});
