import type { Core } from './core.js';

/** Lets go of all calls, without a word to anybody: they are in other hands. No run is in flight, and nothing is to be written. */
export function forgetCalls(core: Core): void {
  for (const record of core.records.values()) {
    core.timers.clear(record);
    core.admission.withdraw(record);
    core.payloads.takeInput(record);
    core.delivery.discard(record);
    record.fn.dropHeld();
    core.functions.release(record.fn);
  }
  core.records.clear();
  core.parking.forgetAll();
  core.outage.forgetAll();
}
