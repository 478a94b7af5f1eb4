import { expect, test } from '@jest/globals';
import { runCampaign } from './campaign.js';

// `npm run test:jepsen` does it at full size.
test('a fleet under faults loses nothing, records nothing twice, and refuses what dead processes write', async () => {
  const outcome = await runCampaign({ seed: 1, calls: 2_000, processes: 4 });
  expect(outcome.wrong).toEqual([]);
  expect(outcome.refusals).toBeGreaterThan(0);
}, 300_000);
