import { afterEach, beforeEach } from '@jest/globals';
import { describeClaims } from './claims.contract.js';
import { describeShared } from './shared.contract.js';
import { SimulatedStores } from './simulated-stores.js';
import { describeStore } from './store.contract.js';

let stores = new SimulatedStores();
beforeEach(() => {
  stores = new SimulatedStores();
});
afterEach(() => stores.close());

describeShared('the store of simulated fleets', { open: () => stores.open() });
describeClaims('the store of simulated fleets', { open: () => stores.open() });

describeStore('the store of simulated fleets', () => {
  const first = stores.make();
  return Promise.resolve({
    store: first,
    crash: () => first.die(),
    again: () => stores.make(),
    dispose: () => Promise.resolve(),
  });
});
