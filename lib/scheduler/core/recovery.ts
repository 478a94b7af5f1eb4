import { Status } from '../../errors/index.js';
import type { CallRow } from '../store.js';
import type { Core } from './core.js';
import { CallRecord } from './record.js';
import { failure } from './results.js';

/** As often may the process end while a call runs, in a row. */
const CRASH_LIMIT = 5;

/** Takes over what an earlier process has left in the store. Resolves when the crashes it died of are counted. */
export async function recover(core: Core): Promise<void> {
  const { calls, undelivered, inFlight } = await core.store.recover();
  for (const row of calls) restore(core, row);
  for (const item of undelivered) {
    const parent = core.records.get(item.parentId);
    if (parent) core.delivery.restore(parent, item);
  }
  if (!core.settings.run) return;
  for (const id of inFlight) {
    const record = core.records.get(id);
    if (record) countCrash(core, record);
    else core.cutShort.add(id);
  }
  if (!core.commits.isIdle) await core.commits.durable();
  if (inFlight.length > 0) core.store.markRunning([], inFlight);
}

/** Parents come before their children: rows are in the order of creation. */
function restore(core: Core, { header, target, progress, position, foreignState }: CallRow): void {
  const fn = core.functions.entry(target.endpoint, target.function);
  const record = new CallRecord(header, fn, target.version, progress);
  record.position = position;
  record.foreignState = foreignState;
  record.inboxEnd = progress.delivered;
  if (record.hasState) record.highestCorrelation = undefined;
  if (progress.state === 'incompatible') core.parking.remember(record);
  core.add(record);
  core.keys.restore(record);
  const parent = core.records.get(header.parentId);
  if (!parent) return;
  record.parent = parent;
  parent.children ??= new Set();
  parent.children.add(record);
  if (header.parentIncarnation === parent.progress.incarnation) parent.outstanding += 1;
}

function countCrash(core: Core, record: CallRecord): void {
  const crashes = record.progress.crashes + 1;
  const name = record.fn.name;
  core.commits.progress(record, { ...record.progress, crashes });
  if (crashes < CRASH_LIMIT) return;
  const message = `its process ended ${crashes} times while it ran`;
  core.log.error(
    `call ${record.id} of ${name} failed: ${message}. Look for what ends the process in ${name} (exhausted memory, process.exit, a native crash), then retry the call.`,
  );
  core.completion.fail(record, Status.PERMANENT_ERROR, failure('PermanentError', message));
}
