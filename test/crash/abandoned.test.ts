import { afterEach, describe, expect, test } from '@jest/globals';
import { TypeScriptProcess } from '../support/typescript-process.js';

let running: TypeScriptProcess | undefined;
afterEach(async () => {
  await running?.kill();
});

/** Runs the application to its end, with the rejections that it leaves; Node's default is to end the process at one. */
async function run(what: string, options = ''): Promise<{ lines: string[]; code: number | null; complaints: string }> {
  const process = new TypeScriptProcess(new URL('abandoned.app.ts', import.meta.url), [what], {
    NODE_OPTIONS: options,
  });
  running = process;
  let complaints = '';
  process.errors.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
  const lines = await process.rest();
  return { lines, code: await process.ended, complaints };
}

describe('rejections that nobody handles', () => {
  test.each([
    ['a branch whose call failed', 'call', 'call'],
    ['a branch whose step failed', 'step', 'step'],
    ['a branch whose own code failed', 'plain', 'plain'],
    ['the loser of a race', 'race', 'race'],
    ['a branch that outlived its function', 'late', 'late'],
    ['branches that the end of the application aborted', 'abort', 'closed'],
  ])(
    'do not end the process when they are those of %s',
    async (_which, what, result) => {
      expect(await run(what)).toMatchObject({ lines: [`result ${result}`, 'alive'], code: 0, complaints: '' });
    },
    30_000,
  );

  test.each([
    ['while the application runs', 'stray'],
    ['once it is closed', 'closed'],
  ])(
    'end the process when they are those of any other code, %s',
    async (_when, what) => {
      const { lines, code, complaints } = await run(what);
      expect(lines).toEqual([]);
      expect(code).toBe(1);
      expect(complaints).toContain('not of a durable function');
    },
    30_000,
  );

  test.each([
    ['warn', 0],
    ['none', 0],
    ['warn-with-error-code', 1],
  ])(
    'do what Node was asked to do with them (%s)',
    async (mode, code) => {
      expect(await run('stray', `--unhandled-rejections=${mode}`)).toMatchObject({ lines: ['alive'], code });
    },
    30_000,
  );

  test('are left to a listener of the application', async () => {
    expect(await run('handled')).toMatchObject({ lines: ['result the application sees to it', 'alive'], code: 0 });
  }, 30_000);
});
