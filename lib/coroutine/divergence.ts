import type { Operation as RecordedOperation } from '../gen/nestjs_dispatch/v1/journal_pb.js';
import { describeMade, describeRecorded, type Operation } from './operation.js';

/** What a person needs to know of a replay that does not fit its journal: what differs, and the ways out. */
export function divergence(found: {
  name: string;
  id: string;
  /** Counted from 0. */
  round: number;
  missing: readonly RecordedOperation[];
  unmatched: readonly Operation[];
  /** What the function waits for. */
  awaited: readonly Operation[];
  ended: boolean;
}): string {
  const recorded = list(found.missing.map((one) => `${describeRecorded(one)} (operation ${one.sequence})`));
  const instead = describeInstead(found);
  const sameFunction = found.unmatched.some((one) =>
    found.missing.some((other) => describeRecorded(other) === describeMade(one)),
  );
  const inputs = sameFunction
    ? ' The functions are the same, their inputs are not: is there a clock or a random value in them?'
    : '';
  return (
    `${found.name} (${found.id}) does not do what its journal says: in round ${found.round + 1} it had made ${recorded}, ` +
    `where ${instead}.${inputs} Code between durable calls must make the same calls again: take clock, random values and ` +
    `changing data in a step(); give changed code another \`version\` so that old calls wait for theirs; or end the old ` +
    `form with a tailCall() into the new one.`
  );
}

function describeInstead(found: {
  unmatched: readonly Operation[];
  awaited: readonly Operation[];
  ended: boolean;
}): string {
  if (found.unmatched.length > 0) return `it now makes ${list(found.unmatched.map(describeMade))}`;
  if (found.ended) return 'it now ends';
  return `it now waits for ${list(found.awaited.map(describeMade))}`;
}

const SHOWN = 5;

function list(names: readonly string[]): string {
  const shown = names.slice(0, SHOWN).join(', ');
  return names.length > SHOWN ? `${shown} and ${names.length - SHOWN} more` : shown;
}
