import { currentScope } from './context.js';
import type { RuntimeLog } from './services.js';

/** Says whether the rejection that is being reported came from a durable function; then it has seen to it. */
type Claim = (reason: unknown) => boolean;

/**
 * One list for all copies of this package in the process, each of which knows only its own runs; and one listener, so that
 * one can tell whether the application has any of its own.
 */
const CLAIMS = Symbol.for('nestjs-dispatch.abandoned-branches');
const shared = globalThis as { [CLAIMS]?: Set<Claim> };

const logs = new Set<RuntimeLog>();

/**
 * A branch of a durable function that nobody awaits may fail, for instance because a race was over: that must not end
 * the process, as a rejection without a handler otherwise does. Rejections of all other code keep their meaning.
 *
 * What a function has left behind may fail long after it, or because the application ends: the listener stays.
 *
 * @returns ends the reports to `log`
 */
export function watchAbandonedBranches(log: RuntimeLog): () => void {
  logs.add(log);
  claims().add(claim);
  return () => void logs.delete(log);
}

function claims(): Set<Claim> {
  const existing = shared[CLAIMS];
  if (existing !== undefined) return existing;
  const made = new Set<Claim>();
  process.on('unhandledRejection', (reason) => {
    const claimed = [...made].some((claimOfCopy) => claimOfCopy(reason));
    // With a listener of the application's own, that one decides.
    if (!claimed && process.listenerCount('unhandledRejection') === 1) doAsNodeWould(reason);
  });
  return (shared[CLAIMS] = made);
}

/** What Node does with a rejection that nobody listens for (https://nodejs.org/api/cli.html#--unhandled-rejectionsmode). */
function doAsNodeWould(reason: unknown): void {
  const options = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ');
  switch (/--unhandled-rejections[= ](\S+)/.exec(options)?.[1]) {
    // It warns by itself.
    case 'warn':
    case 'none':
      return;
    case 'warn-with-error-code':
      process.exitCode = 1;
      return;
    default:
      throw reason;
  }
}

function claim(reason: unknown): boolean {
  const scope = currentScope();
  if (scope === undefined) return false;
  const name = scope.current?.function ?? 'a durable function';
  for (const log of logs) log.debug(`A branch of ${name} that nobody awaits failed: ${String(reason)}`);
  return true;
}
