import type { Core } from './core.js';

/** Lets go of all calls, without a word to anybody: they are in other hands. No run is in flight, and nothing is to be written. */
export function forgetCalls(core: Core): void {
  const records = [...core.records.values()];
  // Out of all queues first, so that no call comes to a turn that another one gives up.
  for (const record of records) {
    core.timers.clear(record);
    core.admission.withdraw(record);
  }
  for (const record of records) {
    core.keys.release(record);
    core.payloads.takeInput(record);
    core.delivery.discard(record);
    core.functions.release(record.fn);
    // The process may still hold an instance of it, which asks for a resume.
    record.warm = false;
  }
  core.records.clear();
  core.parking.forgetAll();
  core.outage.forgetAll();
}
