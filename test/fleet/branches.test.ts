import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { Status } from '../../lib/errors/index.js';
import type { CallInfo } from '../../lib/scheduler/index.js';
import { until, type Member } from '../support/fleet.js';
import { TestFleet } from '../support/test-fleet.js';
import {
  callOf,
  Deferred,
  exit,
  failed,
  inputOf,
  joins,
  tailCall,
  text,
  type Script,
} from '../unit/scheduler/world.js';

const fleet = TestFleet.use();
const start: TestFleet['start'] = (functions, options) => fleet.start(functions, options);
const echo: Script = (request) => exit(inputOf(request) ?? '');
const calls = (name: string, count: number) => () =>
  Array.from({ length: count }, (_, id) => callOf({ id, function: name, input: text(String(id)) }));
const numbers = (count: number): string[] => Array.from({ length: count }, (_, n) => String(n));
const sorted = (joined: string | undefined): string[] | undefined =>
  joined?.split(',').sort((a, b) => Number(a) - Number(b));
const held = (gate: Deferred<void>): Script => {
  return async (request) => {
    await gate.promise;
    return exit(inputOf(request) ?? '');
  };
};
/** Ends when it is aborted. */
const endless =
  (aborted: Deferred<string>): Script =>
  (_request, { signal }) =>
    new Promise((resolve) =>
      signal.addEventListener('abort', () => {
        aborted.resolve('aborted');
        resolve(exit());
      }),
    );
const isSuspended = (member: Member, id: string) => async () => (await member.scheduler.get(id))?.state === 'suspended';

const isWaitingFor = (what: string) => (call: CallInfo) => call.waitsFor === what;

async function finishedOf(member: Member, rootId: string, name: string): Promise<number> {
  const { calls: found } = await member.scheduler.list({ rootId, function: name });
  return found.filter(({ finishedAt }) => finishedAt !== undefined).length;
}

async function ownerOf(id: string): Promise<unknown> {
  const [row] = await fleet.database.query(`SELECT owner FROM ${fleet.schema}.calls WHERE id = $1`, [id]);
  return row?.['owner'];
}

describe('two versions side by side', () => {
  it('each go on with what they have recorded, while they are there', async () => {
    const gate = new Deferred<void>();
    const functions = { page: joins(calls('slow', 1)) };
    await start({ slow: held(gate) });
    const first = await start(functions, { version: '1' });
    const ids = await Promise.all([first.dispatch('page'), first.dispatch('page')]);
    for (const id of ids) await until(isSuspended(first, id));
    const other = await start(functions, { version: '2' });
    const same = await start(functions, { version: '1' });
    await first.stop();
    gate.resolve();
    for (const id of ids) expect(await other.result(id)).toBe('0');
    expect(same.runs).toEqual(['page', 'page']);
    expect(other.runs).toEqual([]);
  });

  it('leave it to the other when the last process of one is gone', async () => {
    const gate = new Deferred<void>();
    const functions = { page: joins(calls('slow', 1)) };
    await start({ slow: held(gate) });
    const first = await start(functions, { version: '1' });
    const id = await first.dispatch('page');
    await until(isSuspended(first, id));
    const other = await start(functions, { version: '2' });
    await first.stop();
    gate.resolve();
    expect(await other.result(id)).toBe('0');
    expect(other.runs).toEqual(['page']);
  });

  it('both begin what has recorded nothing', async () => {
    const client = await start({}, { scheduler: { run: false } });
    const versions = [await start({ echo }, { version: '1' }), await start({ echo }, { version: '2' })];
    await until(async () => {
      await client.result(await client.dispatch('echo'));
      return versions.every(({ runs }) => runs.length > 0);
    });
  });
});

describe('a tree of calls over several processes', () => {
  it('has each call run where its function is', async () => {
    const front = await start({ page: joins(calls('report', 2)), row: echo });
    const back = await start({ report: joins(calls('row', 3)) });
    const id = await front.dispatch('page');
    expect(sorted(await back.result(id))).toEqual(['0', '0', '1', '1', '2', '2']);
    expect(new Set(front.runs)).toEqual(new Set(['page', 'row']));
    expect(new Set(back.runs)).toEqual(new Set(['report']));
    expect(front.runs.filter((name) => name === 'row')).toHaveLength(6);
  });

  it('hands errors from process to process', async () => {
    const front = await start({ page: joins(calls('fails', 1)) });
    await start({ fails: () => failed(Status.PERMANENT_ERROR, 'no') });
    expect(await front.result(await front.dispatch('page'))).toBe('Error');
  });

  it('shares a fan-out that is too much for one process', async () => {
    const shortly: Script = async (request, context) => {
      await delay(1);
      return echo(request, context);
    };
    const functions = { all: joins(calls('echo', 900)), echo: shortly };
    const options = { scheduler: { concurrency: 2 } };
    const [first, second] = [await start(functions, options), await start(functions, options)];
    // The one knows of the other when it has something to do.
    await until(async () => {
      await first.result(await first.dispatch('all'));
      return second.runs.includes('echo');
    });
    const before = first.runs.length + second.runs.length;
    const id = await first.dispatch('all');
    expect(sorted(await second.result(id))).toEqual(numbers(900));
    const runs = first.runs.length + second.runs.length - before;
    expect(runs).toBe(902);
  });

  it('shows calls that nobody has, and is cancelled wherever its calls are', async () => {
    const aborted = new Deferred<string>();
    const front = await start({
      page: joins(() => [...calls('endless', 1)(), callOf({ id: 1, function: 'nowhere' })]),
    });
    const back = await start({ endless: endless(aborted) });
    const id = await front.dispatch('page');
    await until(() => back.runs.length === 1);
    for (const member of [front, back]) {
      const { calls: missing } = await member.scheduler.list({ function: 'nowhere' });
      expect(missing).toMatchObject([{ state: 'pending', waitsFor: 'function' }]);
    }
    expect(await front.scheduler.cancel(id)).toBe(true);
    expect(await aborted.promise).toBe('aborted');
    expect(await back.scheduler.wait(id)).toMatchObject({ state: 'cancelled' });
    await until(async () => {
      const { calls: tree } = await front.scheduler.list({ rootId: id });
      return tree.length === 3 && tree.every(({ state }) => state === 'cancelled');
    });
  });

  it('gives results to whoever takes over the call that waits for them', async () => {
    const gate = new Deferred<void>();
    const functions = { page: joins(calls('slow', 3)) };
    const first = await start(functions);
    const second = await start(functions);
    const back = await start({ slow: held(gate) });
    const id = await first.dispatch('page');
    await until(() => back.runs.length === 3);
    await until(isSuspended(first, id));
    const owner = await ownerOf(id);
    await fleet.endFirstProcess();
    await until(async () => (await ownerOf(id)) !== owner);
    gate.resolve();
    expect(sorted(await second.result(id))).toEqual(numbers(3));
    expect(back.runs).toHaveLength(3);
  });

  it('takes in what ended while nobody had the call that waits for it', async () => {
    const gate = new Deferred<void>();
    const functions = { page: joins(calls('slow', 3)) };
    const first = await start(functions);
    const back = await start({ slow: held(gate) });
    const id = await first.dispatch('page');
    await until(() => back.runs.length === 3);
    await until(isSuspended(first, id));
    await first.stop();
    gate.resolve();
    await until(async () => {
      const { calls: ended } = await back.scheduler.list({ rootId: id, state: 'succeeded' });
      return ended.length === 3;
    });
    const second = await start(functions);
    expect(sorted(await back.result(id))).toEqual(numbers(3));
    expect(second.runs).toEqual(['page']);
  });

  it('goes on with a branch whose process is no more', async () => {
    const gate = new Deferred<void>();
    const slow = held(gate);
    const back = await start({ slow });
    const front = await start({ page: joins(calls('slow', 3)) });
    const id = await front.dispatch('page');
    await until(() => back.runs.length === 3);
    const other = await start({ slow: echo });
    await fleet.endFirstProcess();
    expect(sorted(await front.result(id))).toEqual(numbers(3));
    gate.resolve();
    expect(other.runs.length).toBeGreaterThan(0);
  });
});

describe('a call that came with its tree to a process that cannot go on with it', () => {
  it('is run by one that has its function', async () => {
    const gate = new Deferred<void>();
    const page = joins(calls('slow', 3));
    const first = await start({ page, slow: held(gate) });
    const id = await first.dispatch('page');
    await until(() => first.runs.length === 4);
    const second = await start({ page });
    await first.stop();
    await until(async () => (await second.scheduler.list({ rootId: id })).calls.some(isWaitingFor('function')));
    const third = await start({ slow: echo });
    expect(sorted(await third.result(id))).toEqual(numbers(3));
    expect(second.runs).toEqual(['page']);
    expect(third.runs).toEqual(['slow', 'slow', 'slow']);
    gate.resolve();
  });

  it('takes what it has recorded and been given to one that has its function', async () => {
    const gate = new Deferred<void>();
    const page = joins(calls('report', 2));
    const report = joins(calls('slow', 1));
    const first = await start({ page, report, slow: held(gate) });
    const id = await first.dispatch('page');
    await until(() => first.runs.length === 5);
    await first.stop();
    gate.resolve();
    const second = await start({ page, slow: echo });
    await until(async () => (await finishedOf(second, id, 'slow')) === 2);
    const third = await start({ report });
    expect(await third.result(id)).toBe('0,0');
    expect(second.runs).toEqual(['slow', 'slow', 'page']);
    expect(third.runs).toEqual(['report', 'report']);
  });

  it('is gone on with by the version that has recorded its state, while that is there', async () => {
    const gate = new Deferred<void>();
    const page = joins(calls('report', 2));
    const report = joins(calls('slow', 1));
    const version = (name: string) => ({ policies: [{ name: 'report', version: name }] });
    await start({ slow: held(gate) });
    const first = await start({ page, report }, version('1'));
    const id = await first.dispatch('page');
    await until(async () => (await first.scheduler.list({ rootId: id, function: 'slow' })).calls.length === 2);
    await until(async () => (await first.scheduler.list({ rootId: id, state: 'suspended' })).calls.length === 3);
    const second = await start({ page, report }, version('2'));
    const third = await start({ report }, version('1'));
    await first.stop();
    gate.resolve();
    expect(await second.result(id)).toBe('0,0');
    expect(second.runs).toEqual(['page']);
    expect(third.runs).toEqual(['report', 'report']);
  });

  it('goes elsewhere as well when a tail call makes it one of another function', async () => {
    const first = await start({ page: joins(calls('here', 1)), here: () => tailCall({ function: 'there' }) });
    const second = await start({ there: () => exit('there') });
    expect(await first.result(await first.dispatch('page'))).toBe('there');
    expect(await first.result(await first.dispatch('here'))).toBe('there');
    expect(second.runs).toEqual(['there', 'there']);
  });

  it('is kept when only another one of its tree is to be cancelled', async () => {
    const gate = new Deferred<void>();
    const functions = { page: joins(calls('slow', 2)), slow: held(gate) };
    const first = await start(functions);
    const id = await first.dispatch('page');
    await until(() => first.runs.length === 3);
    const second = await start({});
    await first.stop();
    const { calls: children } = await second.scheduler.list({ parentId: id });
    await second.scheduler.cancel(children[0]?.id ?? '');
    await until(async () => (await finishedOf(second, id, 'slow')) === 1);
    expect(second.runs).toEqual([]);
    const third = await start({ ...functions, slow: echo });
    expect((await third.result(id))?.split(',')).toContain('Cancelled');
    expect(third.runs).toEqual(expect.arrayContaining(['page', 'slow']));
    gate.resolve();
  });

  it('is cancelled wherever it went', async () => {
    const page = joins(calls('endless', 2));
    const first = await start({ page, endless: endless(new Deferred()) });
    const id = await first.dispatch('page');
    await until(() => first.runs.length === 3);
    const second = await start({ page });
    const third = await start({ endless: endless(new Deferred()) });
    await first.stop();
    await until(() => third.runs.length === 2);
    expect(await second.scheduler.cancel(id)).toBe(true);
    await until(async () => {
      const { calls: tree } = await second.scheduler.list({ rootId: id });
      return tree.length === 3 && tree.every(({ state }) => state === 'cancelled');
    });
  });
});
