import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { currentCall, DispatchFunction, gather, step, TemporaryError } from '../../lib/index.js';
import { StandaloneWorld } from '../support/standalone-world.js';

@Injectable()
class Workshop {
  steps = 0;
  private held: (() => void) | undefined;

  @DispatchFunction()
  async double(value: number): Promise<number> {
    return value * 2;
  }

  @DispatchFunction()
  async sum(values: number[], factor: number): Promise<number> {
    const doubled = await gather(values.map((value) => this.double(value)));
    await step(() => (this.steps += 1));
    return factor * doubled.reduce((a, b) => a + b, 0);
  }

  @DispatchFunction()
  async hold(): Promise<string> {
    await new Promise<void>((resolve) => (this.held = resolve));
    return 'released';
  }

  @DispatchFunction()
  async patient(): Promise<number> {
    const { attempt } = currentCall();
    if (attempt < 3) throw new TemporaryError('not yet');
    return attempt;
  }

  @DispatchFunction({ retry: { maxAttempts: 1 } })
  async fail(): Promise<never> {
    throw new TemporaryError('not today');
  }

  release(): void {
    this.held?.();
    this.held = undefined;
  }

  get isHeld(): boolean {
    return this.held !== undefined;
  }
}

const endpointUrl = 'bridge://workshop';
const world = new StandaloneWorld();
afterEach(() => world.end());

describe('an application without an address', () => {
  it('fetches its runs from the scheduler', async () => {
    const scheduler = await world.scheduler();
    const { app, client } = await world.application(Workshop, { apiUrl: scheduler.url, endpointUrl });
    const workshop = app.get(Workshop);
    await expect(client.call(workshop.sum, [1, 2, 3], 10)).resolves.toBe(120);
    expect(workshop.steps).toBe(1);
    const many = Array.from({ length: 150 }, (_, n) => client.of(workshop).double(n));
    await expect(client.gather(many)).resolves.toEqual(many.map((_, n) => 2 * n));
  });

  it('gets what was dispatched before it was there', async () => {
    const scheduler = await world.scheduler();
    const caller = await world.application(Workshop, { apiUrl: scheduler.url, endpointUrl: 'bridge://caller' });
    const result = caller.client.call({ endpoint: endpointUrl, function: 'Workshop.double', input: 21 });
    await delay(20);
    await world.application(Workshop, { apiUrl: scheduler.url, endpointUrl });
    await expect(result).resolves.toBe(42);
  });

  it('does not get the runs of another API key, whatever name it takes', async () => {
    const [orders, mails] = ['sk_orders_0123456789', 'sk_mails_0123456789'];
    const scheduler = await world.scheduler({ apiKeys: [`orders=${orders}`, `mails=${mails}`] });
    const thief = await world.application(Workshop, { apiUrl: scheduler.url, endpointUrl, apiKey: mails });
    const owner = await world.application(Workshop, { apiUrl: scheduler.url, endpointUrl, apiKey: orders });
    const workshop = owner.app.get(Workshop);
    const result = owner.client.call(workshop.hold);
    while (!workshop.isHeld) await delay(5);
    expect(thief.app.get(Workshop).isHeld).toBe(false);
    workshop.release();
    await expect(result).resolves.toBe('released');
  });

  it('ends its runs before it ends itself, and takes up later ones at its next start', async () => {
    const scheduler = await world.scheduler();
    const first = await world.application(Workshop, { apiUrl: scheduler.url, endpointUrl });
    const workshop = first.app.get(Workshop);
    const id = await first.client.dispatch(workshop.hold);
    while (!workshop.isHeld) await delay(5);
    const closed = first.app.close();
    workshop.release();
    await closed;
    const second = await world.application(Workshop, { apiUrl: scheduler.url, endpointUrl });
    await expect(second.client.wait(id)).resolves.toBe('released');
    await expect(second.client.call(second.app.get(Workshop).double, 1)).resolves.toBe(2);
  });

  it('is told which attempt a run is', async () => {
    const scheduler = await world.scheduler({ retry: { initial: 1 } });
    const { app, client } = await world.application(Workshop, { apiUrl: scheduler.url, endpointUrl });
    await expect(client.call(app.get(Workshop).patient)).resolves.toBe(3);
  });

  it('is not taken for one that is down because its functions fail', async () => {
    const scheduler = await world.scheduler({ retry: { maxAttempts: 1 } });
    const { app, client } = await world.application(Workshop, { apiUrl: scheduler.url, endpointUrl });
    const workshop = app.get(Workshop);
    for (let n = 0; n < 6; n++) await expect(client.call(workshop.fail)).rejects.toThrow('not today');
    await expect(client.call(workshop.double, 2)).resolves.toBe(4);
    expect(world.lines).not.toContainEqual(expect.stringContaining('does not answer'));
  });

  it('that goes away leaves its runs to the next one', async () => {
    const scheduler = await world.scheduler({ retry: { initial: 1 } });
    const caller = await world.application(Workshop, { apiUrl: scheduler.url, endpointUrl: 'bridge://caller' });
    const id = await caller.client.dispatch({ endpoint: endpointUrl, function: 'Workshop.double', input: 4 });
    await fetchOneRun(scheduler.url);
    await world.application(Workshop, { apiUrl: scheduler.url, endpointUrl });
    await expect(caller.client.wait(id)).resolves.toBe(8);
  });
});

/** What an application does that fetches a run, and then is never heard of again. */
async function fetchOneRun(url: string): Promise<void> {
  const response = await fetch(`${url}/nestjs_dispatch.v1.BridgeService/Poll`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'workshop', session: 'lost' }),
  });
  expect(((await response.json()) as { runs: unknown[] }).runs).toHaveLength(1);
}
