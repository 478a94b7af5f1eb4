import { setTimeout as delay } from 'node:timers/promises';
import { Option, type Command } from 'commander';
import { ConfigurationError, NotFoundError, Status } from '../errors/index.js';
import type { CallInfo, CallState } from '../scheduler/index.js';
import { sourceOf, usingCalls, withSourceOptions, type CallSource, type SourceOptions } from './call.source.js';
import { CallTail } from './call.tail.js';
import { callDetails, callTable } from './call.text.js';
import type { Actions } from './command.line.js';
import { ExitCode, exitCodeOf } from './exit.codes.js';
import { count, duration } from './option.values.js';
import type { Output } from './output.js';
import { untilSignal } from './signals.js';

const STATES = [
  'pending',
  'suspended',
  'incompatible',
  'succeeded',
  'failed',
  'cancelled',
] as const satisfies CallState[];
const CHILDREN = 1_000;

interface ListOptions extends SourceOptions {
  readonly state?: readonly CallState[];
  readonly function?: string;
  readonly root?: string;
  readonly parent?: string;
  readonly roots?: boolean;
  readonly since?: number;
  readonly limit: number;
  readonly after?: string;
}

const HELP = `
They ask a scheduler (--url, --api-key), or look into a store that no process has open (--store): where an application has
it open, the message says which process that is.

Examples:
  $ nestjs-dispatch calls list --roots --state failed cancelled --since 1d
  $ nestjs-dispatch calls show 019a2041009c37831bd5119ed476cac4
  $ nestjs-dispatch calls retry 019a2041009c37831bd5119ed476cac4 --url https://scheduler.example.com --api-key @api.key
  $ nestjs-dispatch calls list --json --state failed --roots | jq -r '.calls[].id'`;

export function addCalls(program: Command, actions: Actions): void {
  const calls = program
    .command('calls')
    .summary('look at calls, cancel them, take them up again')
    .description('Looks at calls, cancels them and takes them up again.');
  calls.addHelpText('after', HELP);
  withSourceOptions(calls.command('list'))
    .description('Lists calls, the newest first.')
    .addOption(new Option('--state <state...>', 'only those in one of these states').choices(STATES))
    .option('--function <name>', 'only those of this function')
    .option('--root <id>', 'only those of this tree')
    .option('--parent <id>', 'only those that this call made')
    .option('--roots', 'only those that no call made')
    .option('--since <duration>', 'only those created since then: 30m, 2d', duration('--since'))
    .option('--limit <number>', 'how many at most', count('--limit', 1, 1_000), 100)
    .option('--after <cursor>', 'the page after this one: what the page before ends with')
    .action(actions((output, options: ListOptions) => usingCalls(options, (source) => list(output, source, options))));
  withSourceOptions(calls.command('show <id>'))
    .description('Shows a call with its result or error, and the calls that it made.')
    .action(
      actions((output, id: string, options: SourceOptions) =>
        usingCalls(options, (source) => show(output, source, id)),
      ),
    );
  withSourceOptions(calls.command('cancel <id>'))
    .description('Cancels a call and all that it called.')
    .action(
      actions((output, id: string, options: SourceOptions) =>
        usingCalls(options, async (source) => {
          const cancelled = await source.cancel(id);
          output.result({ id, cancelled }, () => (cancelled ? `${id} is cancelled.` : `${id} had finished already.`));
        }),
      ),
    );
  withSourceOptions(calls.command('retry <id>'))
    .description(
      'Takes up a call again: one that failed or was cancelled begins anew, one that is incompatible goes on.',
    )
    .action(
      actions((output, id: string, options: SourceOptions) =>
        usingCalls(options, async (source) => {
          await source.retry(id);
          output.result({ id, retried: true }, () => `${id} is taken up again.`);
        }),
      ),
    );
  withSourceOptions(calls.command('tail'))
    .description('Prints what becomes of calls, as it happens, until it is interrupted.')
    .option('--interval <duration>', 'how often the scheduler is asked', duration('--interval'), 1_000)
    .action(
      actions((output, options: SourceOptions & { interval: number }) => {
        if (sourceOf(options, process.env).url === undefined)
          throw new ConfigurationError('tail follows a scheduler that runs: give --url, or DISPATCH_API_URL.');
        return usingCalls(options, (source) => tail(output, source, options.interval));
      }),
    );
}

async function list(output: Output, source: CallSource, options: ListOptions): Promise<void> {
  const { state, function: name, root, parent, roots, since, limit, after } = options;
  const page = await source.list({
    ...(state && { state }),
    ...(name !== undefined && { function: name }),
    ...(root !== undefined && { rootId: root }),
    ...(parent !== undefined && { parentId: parent }),
    ...(roots && { roots }),
    ...(since !== undefined && { createdAfter: Date.now() - since }),
    limit,
    after,
  });
  const value = { calls: page.calls.map(callValue), next: page.next };
  output.result(value, () => callTable(page.calls) + (page.next === undefined ? '' : `\nMore: --after ${page.next}`));
}

async function show(output: Output, source: CallSource, id: string): Promise<void> {
  const call = await source.get(id);
  if (call === undefined) throw new NotFoundError(`There is no call ${id}.`);
  const { calls: children } = await source.list({ parentId: id, limit: CHILDREN });
  const outcome: Outcome = call.finishedAt === undefined ? {} : await outcomeOf(source, id);
  output.result({ ...callValue(call), ...outcome, children: children.map(callValue) }, () =>
    [
      callDetails(call),
      ...('result' in outcome ? [`result     ${JSON.stringify(outcome.result) ?? 'none'}`] : []),
      ...(outcome.error ? [`error      ${outcome.error.type}: ${outcome.error.message}`] : []),
      ...(children.length === 0 ? [] : ['', `It made ${children.length} calls:`, callTable(children)]),
    ].join('\n'),
  );
}

interface Outcome {
  readonly result?: unknown;
  readonly error?: { readonly type: string; readonly message: string };
}

async function outcomeOf(source: CallSource, id: string): Promise<Outcome> {
  try {
    return { result: await source.wait(id, { timeout: 5_000, signal: undefined }) };
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    return { error: { type: name, message } };
  }
}

async function tail(output: Output, source: CallSource, interval: number): Promise<void> {
  const stop = new AbortController();
  void untilSignal(['SIGINT', 'SIGTERM']).then(() => stop.abort());
  const calls = new CallTail(source, Date.now());
  let state: 'new' | 'followed' | 'away' = 'new';
  while (!stop.signal.aborted) {
    try {
      for (const call of await calls.changes()) {
        const time = new Date().toISOString();
        output.result({ time, ...callValue(call) }, () => `${time} ${changeText(call)}`);
      }
      state = 'followed';
    } catch (error) {
      // A scheduler that was there comes back.
      if (state === 'new' || exitCodeOf(error) !== ExitCode.UNAVAILABLE) throw error;
      if (state !== 'away') output.log().warn(`${(error as Error).message} It is tried again.`);
      state = 'away';
    }
    await delay(interval, undefined, { signal: stop.signal }).catch(() => undefined);
  }
}

function changeText({ id, state, function: name, status, waitsFor }: CallInfo): string {
  const why =
    state === 'failed' && status !== undefined ? Status[status] : waitsFor === undefined ? '' : `waits for ${waitsFor}`;
  return `${id} ${state.padEnd(12)} ${name} ${why}`.trimEnd();
}

/** A call as JSON: statuses have their names. */
function callValue(call: CallInfo): object {
  return { ...call, status: call.status === undefined ? undefined : Status[call.status] };
}
