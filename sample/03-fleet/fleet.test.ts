import { describe, expect, it, jest } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { compiled } from '../../test/support/compiled.js';

const MAIN = compiled(new URL('main.ts', import.meta.url));

// Processes are started, which takes its time on a busy machine.
jest.setTimeout(240_000);

async function run(env: Record<string, string>): Promise<{ code: unknown; out: string; err: string }> {
  const { DISPATCH_STORE: _store, JEST_WORKER_ID: _worker, NODE_ENV: _env, ...inherited } = process.env;
  const child = spawn(process.execPath, ['--no-warnings', '--import', 'reflect-metadata', MAIN], {
    env: { ...inherited, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const [code] = await once(child, 'close');
  return { code, out, err };
}

describe('the fleet', () => {
  it('comes to exact totals while its processes are killed', async () => {
    const { code, out } = await run({ FLEET_SECONDS: '7' });
    expect(out).toContain('0 days differ');
    expect(out).toContain('\nExact.');
    expect(Number(/tills, (\d+) processes killed/.exec(out)?.[1])).toBeGreaterThan(0);
    expect(code).toBe(0);
  });

  it('says what it needs where the store is no PostgreSQL', async () => {
    const { code, err } = await run({ DISPATCH_STORE: './dispatch.db' });
    expect(err).toContain('DISPATCH_STORE is no address of PostgreSQL');
    expect(code).toBe(2);
  });
});
