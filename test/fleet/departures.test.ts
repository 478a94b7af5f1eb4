import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { Member, until } from '../support/fleet.js';
import { TestFleet } from '../support/test-fleet.js';
import { Wire } from '../support/wire.js';
import { exit, inputOf, LOCAL, text, type Script } from '../unit/scheduler/world.js';

const fleet = TestFleet.use();
const wires: Wire[] = [];
afterEach(() => {
  for (const wire of wires.splice(0)) wire.close();
});

/** The statement by which a process leaves calls to others. */
const RELEASE = 'dispatch_release';

describe('calls that a process leaves to others when its connection is cut', () => {
  it.each([
    ['before the server hears of the commit', 'commit'],
    ['before the answer comes', 'answer'],
  ] as const)('%s, are neither lost nor run twice at the same time', async (_, cutting) => {
    const running = new Map<string, number>();
    let most = 0;
    const work: Script = async (request) => {
      const name = inputOf(request) ?? '';
      running.set(name, (running.get(name) ?? 0) + 1);
      most = Math.max(most, ...running.values());
      await delay(1);
      running.set(name, (running.get(name) ?? 0) - 1);
      return exit(name);
    };
    const wire = await Wire.to(fleet.url);
    wires.push(wire);
    wire.cuttingAfter = RELEASE;
    wire.cutting = cutting;
    const first = await Member.start(wire.url, { work });
    try {
      const second = await fleet.start({ work });
      // More of one key than a process keeps for itself.
      const names = Array.from({ length: 120 }, (_name, n) => String(n));
      const ids = await first.scheduler.dispatch(
        names.map((name) => ({ endpoint: LOCAL, function: 'work', key: 'Ada', input: text(name) })),
      );
      await until(() => wire.cuts === 1);
      expect(await Promise.all(ids.map((id) => second.result(id)))).toEqual(names);
      expect(await Promise.all(ids.map((id) => first.result(id)))).toEqual(names);
      expect(most).toBe(1);
    } finally {
      await first.stop();
    }
  });
});
