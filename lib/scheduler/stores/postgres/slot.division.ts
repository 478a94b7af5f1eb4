import type { SlotDemand, SlotShare } from '../../store.js';

/** What a process has of a function's slots, and what it wants of them. */
export interface SlotRow {
  readonly process: number;
  readonly slots: number;
  readonly wanted: number;
  /** Those who had their turn last come last where there is not a slot for each. */
  readonly turn: number;
}

/** What becomes of a process's row, and which processes are to hear of it. */
export interface Decision {
  readonly share: SlotShare;
  readonly row: SlotRow;
  readonly tells: readonly number[];
}

/** @param rows those of all processes that are there, as they are */
export function decide(process: number, demand: SlotDemand, rows: readonly SlotRow[]): Decision {
  const { limit, wanted, inUse, yields, again } = demand;
  const others = rows.filter((row) => row.process !== process);
  const former = rows.find((row) => row.process === process);
  const turn = former === undefined || yields ? 1 + Math.max(0, ...rows.map((row) => row.turn)) : former.turn;
  const parts = divide(limit, [...others, { process, slots: inUse, wanted, turn }]);
  const partOf = (row: { readonly process: number }): number => parts.get(row.process) ?? 0;
  const isFree = limit - others.reduce((sum, { slots }) => sum + slots, 0);
  const slots = Math.max(0, Math.min(partOf({ process }), isFree));
  const held = Math.max(inUse, slots);
  const row = { process, slots: held, wanted, turn };

  const hungry = others.filter((other) => lacks(other, limit) > 0);
  // Not all of them: whose turn it is not would ask in vain.
  const gains = held < (former?.slots ?? 0) ? hungry.filter((other) => partOf(other) > other.slots) : [];
  const begins = !(former !== undefined && lacks(former, limit) > 0);
  const givers = lacks(row, limit) > 0 && (begins || again) ? others.filter((other) => other.slots > 0) : [];
  return {
    share: { slots, held, others: moodOf(hungry, slots) },
    row,
    tells: [...gains, ...givers].map((other) => other.process),
  };
}

/**
 * Divides a limit among processes: equal parts, and what one does not want goes to the others. What is left over goes to
 * those whose turn is next.
 */
function divide(limit: number, rows: readonly SlotRow[]): Map<number, number> {
  const parts = new Map(rows.map(({ process }) => [process, 0]));
  let left = limit;
  let hungry = [...rows].sort((a, b) => a.turn - b.turn).filter(({ wanted }) => wanted > 0);
  while (left > 0 && hungry.length > 0) {
    const each = Math.max(1, Math.floor(left / hungry.length));
    for (const { process, wanted } of hungry) {
      const part = parts.get(process) ?? 0;
      const more = Math.min(each, wanted - part, left);
      parts.set(process, part + more);
      left -= more;
    }
    hungry = hungry.filter(({ process, wanted }) => wanted > (parts.get(process) ?? 0));
  }
  return parts;
}

/** Slots that a process could use and does not have. */
const lacks = ({ wanted, slots }: SlotRow, limit: number): number => Math.min(wanted, limit) - slots;

/** One slot less than others have is as equal as it gets, unless it is none. */
function moodOf(hungry: readonly SlotRow[], mine: number): SlotShare['others'] {
  if (hungry.length === 0) return 'content';
  return hungry.some(({ slots }) => slots === 0 || slots + 1 < mine) ? 'want a turn' : 'want more';
}
