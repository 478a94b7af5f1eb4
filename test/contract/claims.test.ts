import { describe, expect, it } from '@jest/globals';
import { TestStores } from '../support/test-stores.js';
import { claim, createRoots, describeClaims, having } from './claims.contract.js';

const stores = TestStores.use();
const open = () => stores.open();

describeClaims('a PostgreSQL store', stores);

describe('claims of free roots of a PostgreSQL store, in parts', () => {
  it('have equal parts for functions, however many of one wait', async () => {
    const store = await open();
    await createRoots(store, { count: 20_000, of: 'flood' });
    await createRoots(store, { count: 3, of: 'single' });
    expect(await claim(store, 10, having('flood', 'single'))).toEqual({ flood: 5, single: 3 });
  });

  it('have equal parts for endpoints, and for the functions of each', async () => {
    const store = await open();
    for (const name of ['a', 'b', 'c']) await createRoots(store, { count: 100, of: name, endpoint: 'https://many' });
    await createRoots(store, { count: 100, of: 'd', endpoint: 'https://one' });
    expect(await claim(store, 60, { endpoints: [], functions: [] })).toEqual({ a: 10, b: 10, c: 10, d: 30 });
  });

  it('leave one in ten to lower priorities', async () => {
    const store = await open();
    await createRoots(store, { count: 200, of: 'f', priority: 5 });
    await createRoots(store, { count: 200, of: 'f', priority: 1 });
    await createRoots(store, { count: 200, of: 'g' });
    const counts = await claim(store, 100, having('f', 'g'));
    expect(counts).toEqual({ 'f 5': 90, 'f 1': 5, g: 5 });
  });
});
