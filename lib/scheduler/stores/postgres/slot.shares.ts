import type { SlotDemand, SlotShare } from '../../store.js';
import * as arrays from './arrays.js';
import type { Committer } from './committer.js';
import type { Connection, SqlRow } from './connection.js';
import { number, text } from './rows.js';
import { decide, type Decision, type SlotRow } from './slot.division.js';
import type { Statements } from './statements.js';

/** What a notification says when slots are wanted or free. */
export const SLOTS_CHANGED = 'slots';

/** The slots of functions that have a limit, of all processes. */
export class SlotShares {
  constructor(
    private readonly statements: Statements,
    private readonly committer: Committer,
    private readonly process: number,
  ) {}

  share(demands: readonly SlotDemand[]): Promise<SlotShare[]> {
    return this.committer.transact(async (connection) => {
      const decisions = await this.decide(connection, demands);
      await this.write(connection, demands, decisions);
      return decisions.map(({ share }) => share);
    });
  }

  /** Under a lock of each function: the slots of others stay as they are until the end of the transaction. */
  private async decide(connection: Connection, demands: readonly SlotDemand[]): Promise<Decision[]> {
    const { statements, process } = this;
    const names = namesOf(demands);
    const [, declared, had] = await Promise.all([
      connection.run(statements.lockSlots, names),
      connection.run(statements.slotLimits, names),
      connection.run(statements.slots, [...names, process]),
    ]);
    const limits = new Map(declared.rows.map(([endpoint, name, runs]) => [nameOf(endpoint, name), number(runs)]));
    const rows = new Map<string, SlotRow[]>();
    for (const [endpoint, name, ...row] of had.rows) {
      const key = nameOf(endpoint, name);
      rows.set(key, [...(rows.get(key) ?? []), slotRow(row)]);
    }
    return demands.map((demand) => {
      const key = nameOf(demand.endpoint, demand.function);
      const limit = Math.min(demand.limit, limits.get(key) ?? Infinity);
      return decide(process, { ...demand, limit }, rows.get(key) ?? []);
    });
  }

  private async write(
    connection: Connection,
    demands: readonly SlotDemand[],
    decisions: readonly Decision[],
  ): Promise<void> {
    const { statements, process } = this;
    const rows = decisions.map(({ row }) => row);
    const told = new Set(decisions.flatMap(({ tells }) => tells));
    await Promise.all([
      connection.run(statements.setSlots, [
        ...namesOf(demands),
        process,
        arrays.numbers(rows.map(({ slots }) => slots)),
        arrays.numbers(rows.map(({ wanted }) => wanted)),
        arrays.numbers(rows.map(({ turn }) => turn)),
      ]),
      told.size > 0 && connection.run(statements.tellSlots, [arrays.numbers([...told])]),
    ]);
  }
}

const namesOf = (demands: readonly SlotDemand[]): [string, string] => [
  arrays.texts(demands.map(({ endpoint }) => endpoint)),
  arrays.texts(demands.map((demand) => demand.function)),
];

const nameOf = (endpoint: unknown, name: unknown): string => `${text(name)} ${text(endpoint)}`;

const slotRow = ([process, slots, wanted, turn]: SqlRow): SlotRow => ({
  process: number(process),
  slots: number(slots),
  wanted: number(wanted),
  turn: number(turn),
});
