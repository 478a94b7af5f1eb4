import { describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { ConfigurationError } from '../../../lib/index.js';
import { namespaceTag } from '../../../lib/scheduler/index.js';
import { ApiKeys } from '../../../lib/standalone/api.keys.js';

const KEY = 'sk_0123456789abcdef';
const OTHER = 'sk_fedcba9876543210';

describe('API keys', () => {
  it('tell whose calls a request is about', () => {
    const keys = new ApiKeys([KEY, `orders=${OTHER}`]);
    expect(keys.authenticate(`Bearer ${KEY}`)).toEqual({ name: '', namespace: '' });
    expect(keys.authenticate(`bearer ${OTHER}`)).toEqual({ name: 'orders', namespace: namespaceTag('orders') });
  });

  it.each([
    undefined,
    '',
    KEY,
    `Basic ${KEY}`,
    'Bearer ',
    `Bearer ${KEY}x`,
    `Bearer orders=${OTHER}`,
    `Bearer ${OTHER}`,
  ])('do not let in %j', (authorization) => expect(new ApiKeys([KEY]).authenticate(authorization)).toBeUndefined());

  it('may be given by their hash, which lets nobody in by itself', () => {
    const hash = `sha256:${createHash('sha256').update(KEY).digest('hex')}`;
    const keys = new ApiKeys([`orders=${hash}`]);
    expect(keys.authenticate(`Bearer ${KEY}`)?.name).toBe('orders');
    expect(keys.authenticate(`Bearer ${hash}`)).toBeUndefined();
  });

  it('may have padding, and no name', () => {
    const padded = 'MDEyMzQ1Njc4OWFiY2RlZg==';
    expect(new ApiKeys([padded]).authenticate(`Bearer ${padded}`)?.name).toBe('');
  });

  it('let everyone in where there are none', () => {
    expect(new ApiKeys([]).isOpen).toBe(true);
    expect(new ApiKeys([]).authenticate(undefined)).toEqual({ name: '', namespace: '' });
  });

  it.each([
    [[KEY, OTHER], 'two keys without a name'],
    [['short'], 'fewer than 16'],
    [['orders=short'], 'fewer than 16'],
    [['a key that has spaces'], 'with spaces'],
    [[`a=${KEY}`, `b=${KEY}`], 'the same key twice'],
  ])('are refused as they are: %j', (settings, message) => {
    expect(() => new ApiKeys(settings, '--api-key')).toThrow(ConfigurationError);
    expect(() => new ApiKeys(settings, '--api-key')).toThrow(message);
    expect(() => new ApiKeys(settings, '--api-key')).toThrow('--api-key');
    expect(() => new ApiKeys(settings)).not.toThrow(KEY);
  });
});
