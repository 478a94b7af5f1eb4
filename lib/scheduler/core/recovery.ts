import type { Any } from '@bufbuild/protobuf/wkt';
import { Status } from '../../errors/index.js';
import type { CallRow, DispatchId, Recovery } from '../store.js';
import { adoptChild } from './branches.js';
import type { Core } from './core.js';
import { CallRecord } from './record.js';
import { failure } from './results.js';

/** As often may the process end while a call runs, in a row. */
const CRASH_LIMIT = 5;

/** Takes over what an earlier process has left in the store. Resolves when the crashes it died of are counted. */
export async function recover(core: Core): Promise<void> {
  await takeIn(core, await core.store.recover());
}

/**
 * The same with calls that another process had, while this one runs.
 * @param beforeStart is called before any of them may run
 */
export async function adopt(core: Core, recovery: Recovery, beforeStart: () => void): Promise<void> {
  // A call may be about to be made here as well, under an id that another process was first with: that is lost then.
  if (recovery.calls.some(({ header }) => core.records.has(header.id))) {
    await core.commits.durable().catch(() => undefined);
  }
  const calls = recovery.calls.filter(({ header }) => !core.records.has(header.id));
  try {
    await takeIn(core, { ...recovery, calls });
  } finally {
    // Also where the count of crashes could not be written.
    beforeStart();
    for (const { header } of calls) takeUp(core, header.id);
  }
}

function takeUp(core: Core, id: DispatchId): void {
  const record = core.records.get(id);
  if (record === undefined) return;
  core.parking.adopted(record);
  core.readiness.evaluate(record);
}

async function takeIn(
  core: Core,
  { calls, inputs, undelivered, inFlight, branches, withKey }: Recovery,
): Promise<void> {
  const [running, haveKey] = [new Set(inFlight), new Set(withKey)];
  for (const row of calls) {
    const { id } = row.header;
    restore(core, row, inputs?.get(id), { wasRunning: running.has(id), hasKey: haveKey.has(id) });
  }
  if (branches) core.fleet?.branches.restore(branches);
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
  if (inFlight.length === 0) return;
  await core.commits.durable();
  // Those that run again by now have their marks anew.
  core.store.markRunning(
    [],
    inFlight.filter((id) => core.records.get(id)?.run === undefined),
  );
}

/** Parents come before their children: rows are in the order of creation. */
function restore(
  core: Core,
  row: CallRow,
  input: Any | undefined,
  earlier: { readonly wasRunning: boolean; readonly hasKey: boolean },
): void {
  const record = restoreCall(core, row);
  if (record.progress.state === 'incompatible') core.parking.remember(record);
  if (input && !record.hasState) core.payloads.holdInput(record, input);
  core.keys.restore(record, earlier);
  const parent = core.records.get(record.header.parentId);
  if (parent) adoptChild(parent, record);
}

/** Takes a call into memory as the store has it. */
export function restoreCall(core: Core, row: CallRow): CallRecord {
  const { header, target, progress, position, foreignState } = row;
  const fn = core.functions.entry(target.endpoint, target.function);
  const record = new CallRecord(header, fn, target.version, progress);
  record.position = position;
  record.foreignState = foreignState;
  record.code = row.code;
  record.inboxEnd = progress.delivered;
  if (record.hasState) record.highestCorrelation = undefined;
  core.add(record);
  return record;
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
