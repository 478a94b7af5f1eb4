import { describe, expect, it } from '@jest/globals';
import type { LookupAddress } from 'node:dns';
import { ConfigurationError } from '../../../lib/index.js';
import { EndpointRefusedError } from '../../../lib/endpoint/index.js';
import { addressKind } from '../../../lib/standalone/address.kind.js';
import { EndpointPolicy, type EndpointPolicyOptions } from '../../../lib/standalone/endpoint.policy.js';

/** Where a connection to the address would go to, with names that are at these addresses; the refusal where there is none. */
async function connect(address: string, options: EndpointPolicyOptions, ...at: string[]): Promise<string[] | string> {
  const found = at.map((ip): LookupAddress => ({ address: ip, family: ip.includes(':') ? 6 : 4 }));
  const policy = new EndpointPolicy(options, (_name, _options, callback) => callback(null, found));
  const url = new URL(address);
  try {
    const lookup = policy.admit(url);
    return await new Promise((resolve, reject) => {
      lookup(url.hostname, { all: true }, (error, addresses) => {
        if (error) reject(error);
        else resolve((addresses as LookupAddress[]).map((one) => one.address));
      });
    });
  } catch (error) {
    if (error instanceof EndpointRefusedError) return error.message;
    throw error;
  }
}

const PUBLIC = '93.184.215.14';

describe('the kind of an address', () => {
  it.each([
    [PUBLIC, 'public'],
    ['2606:2800:21f:cb07:6820:80da:af6b:8b2c', 'public'],
    ['127.0.0.1', 'local'],
    ['127.8.8.8', 'local'],
    ['::1', 'local'],
    ['10.1.2.3', 'local'],
    ['172.16.0.1', 'local'],
    ['192.168.1.1', 'local'],
    ['100.64.0.1', 'local'],
    ['fd12::1', 'local'],
    ['::ffff:127.0.0.1', 'local'],
    ['::ffff:10.0.0.1', 'local'],
    ['169.254.169.254', 'forbidden'],
    ['::ffff:169.254.169.254', 'forbidden'],
    ['fe80::1', 'forbidden'],
    ['fd00:ec2::254', 'forbidden'],
    ['100.100.100.200', 'forbidden'],
    ['168.63.129.16', 'forbidden'],
    ['192.0.0.192', 'forbidden'],
    ['0.0.0.0', 'forbidden'],
    ['::', 'forbidden'],
    ['255.255.255.255', 'forbidden'],
    ['224.0.0.1', 'forbidden'],
    ['ff02::1', 'forbidden'],
    ['240.0.0.1', 'forbidden'],
    ['64:ff9b::7f00:1', 'forbidden'],
    ['2002:7f00:1::', 'forbidden'],
  ])('%s is %s', (address, kind) => expect(addressKind(address)).toBe(kind));
});

describe('a scheduler without patterns', () => {
  it('calls public addresses, whatever their name', async () => {
    expect(await connect('https://app.example.com', {}, PUBLIC)).toEqual([PUBLIC]);
    expect(await connect(`http://${PUBLIC}:8080`, {}, PUBLIC)).toEqual([PUBLIC]);
  });

  it.each([
    ['a name of this machine', 'http://localhost:3000', '127.0.0.1'],
    ['a name in a private network', 'http://db.example.com', '10.0.0.5'],
    ['an address of this machine', 'http://127.0.0.1', '127.0.0.1'],
    ['the same, as one number', 'http://2130706433', '127.0.0.1'],
    ['the same, in hexadecimal digits', 'http://0x7f.1', '127.0.0.1'],
    ['the same, as IPv6', 'http://[::1]', '::1'],
    ['the same, as IPv4 in IPv6', 'http://[::ffff:127.0.0.1]', '::ffff:127.0.0.1'],
  ])('does not call %s', async (_what, address, ip) => {
    expect(await connect(address, {}, ip)).toContain('it is not at a public address');
  });

  it('connects to none of the addresses of a name but the public ones', async () => {
    expect(await connect('http://both.example.com', {}, '10.0.0.5', PUBLIC)).toEqual([PUBLIC]);
  });

  it('refuses credentials in an address', async () => {
    expect(await connect('https://user:secret@example.com', {}, PUBLIC)).toContain('credentials');
    expect(await connect('https://user:secret@example.com', {}, PUBLIC)).not.toContain('secret');
  });
});

describe('a pattern', () => {
  it.each([
    ['app.example.com', 'https://app.example.com'],
    ['app.example.com', 'https://app.example.com.:443'],
    ['APP.example.com', 'http://app.EXAMPLE.com:99'],
    ['*.example.com', 'http://a.b.example.com'],
    ['http://app.internal:3000', 'http://app.internal:3000'],
    ['https://app.internal:443', 'https://app.internal'],
    ['10.0.0.0/8', 'http://whatever.internal'],
    ['http://10.0.0.0/8:80', 'http://10.0.0.5'],
    ['10.0.0.5', 'http://10.0.0.5:7'],
  ])('%s allows %s, though it is at a private address', async (pattern, address) => {
    expect(await connect(address, { allow: [pattern] }, '10.0.0.5')).toEqual(['10.0.0.5']);
  });

  it.each([
    ['app.example.com', 'https://other.example.com'],
    ['app.example.com', 'https://app.example.com.evil.com'],
    ['*.example.com', 'https://example.com'],
    ['*.example.com', 'https://evilexample.com'],
    ['https://app.example.com', 'http://app.example.com'],
    ['app.example.com:443', 'http://app.example.com'],
    ['10.0.0.0/8', 'https://public.example.com'],
    ['[fd00::]/8', 'https://public.example.com'],
  ])('%s does not allow %s, though it is at a public address', async (pattern, address) => {
    expect(await connect(address, { allow: [pattern] }, PUBLIC)).toContain('no pattern names it');
  });

  it('for one port opens no other one, beside a pattern for a network', async () => {
    const allow = ['http://localhost:3000', '10.0.0.0/8'];
    expect(await connect('http://localhost:3000', { allow }, '127.0.0.1')).toEqual(['127.0.0.1']);
    expect(await connect('http://localhost:4000', { allow }, '127.0.0.1')).toContain('no pattern names it');
  });

  it.each(['*.example.com', '169.254.0.0/16', '0.0.0.0/0'])('%s does not open metadata services', async (pattern) => {
    const address = 'http://metadata.example.com';
    expect(await connect(address, { allow: [pattern] }, '169.254.169.254')).toContain('never called');
    expect(await connect(address, { allow: [pattern], dev: true }, 'fd00:ec2::254')).toContain('never called');
  });

  it.each(['', '*', 'ftp://example.com', 'http://', 'a b', '10.0.0.0/99', 'http://x/path', '*.*.com', 'x:port'])(
    'that is none is refused: %j',
    (pattern) => {
      expect(() => new EndpointPolicy({ allow: [pattern], source: '--allow-endpoint' })).toThrow(ConfigurationError);
      expect(() => new EndpointPolicy({ allow: [pattern], source: '--allow-endpoint' })).toThrow('--allow-endpoint');
    },
  );
});

describe('development', () => {
  it('opens this machine and private networks, beside what patterns allow', async () => {
    expect(await connect('http://localhost:3000', { dev: true }, '127.0.0.1')).toEqual(['127.0.0.1']);
    expect(await connect('http://localhost', { dev: true, allow: ['a.example.com'] }, '::1')).toEqual(['::1']);
    expect(await connect('http://b.example.com', { dev: true, allow: ['a.example.com'] }, PUBLIC)).toContain(
      'no pattern',
    );
  });
});

describe('a name that changes its address', () => {
  it('is looked at when the connection is made, not before', async () => {
    const answers = [PUBLIC, '127.0.0.1'];
    const policy = new EndpointPolicy({}, (_name, _options, callback) =>
      callback(null, [{ address: answers.shift() ?? '', family: 4 }]),
    );
    const lookup = policy.admit(new URL('http://rebind.example.com'));
    const connectOnce = () =>
      new Promise((resolve) => lookup('rebind.example.com', {}, (error, address) => resolve(error ?? address)));
    expect(await connectOnce()).toBe(PUBLIC);
    expect(await connectOnce()).toBeInstanceOf(EndpointRefusedError);
  });
});
