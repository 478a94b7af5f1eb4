import { expect, it } from '@jest/globals';
import { sourceOf } from '../../lib/cli/call.source.js';

const REMOTE = { DISPATCH_API_URL: 'https://scheduler', DISPATCH_API_KEY: 'key' };

it.each([
  ['the variables of a scheduler', {}, REMOTE, { url: 'https://scheduler', apiKey: 'key' }],
  ['those before the variable of a store', {}, { ...REMOTE, DISPATCH_STORE: 'a.db' }, { url: 'https://scheduler' }],
  ['the variable of a store', {}, { DISPATCH_STORE: 'a.db' }, { store: 'a.db' }],
  ['an option before all variables', { store: 'b.db' }, { ...REMOTE, DISPATCH_STORE: 'a.db' }, { store: 'b.db' }],
  ['the key of an option', { apiKey: 'other' }, REMOTE, { url: 'https://scheduler', apiKey: 'other' }],
  ['no empty variables', {}, { DISPATCH_API_URL: '', DISPATCH_STORE: 'a.db' }, { store: 'a.db' }],
])('the commands heed %s', (_what, options, environment, expected) => {
  expect(sourceOf(options, environment)).toMatchObject(expected);
});
