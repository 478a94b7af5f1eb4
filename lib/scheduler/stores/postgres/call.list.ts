import { isFinished } from '../../store.js';
import type { CallFilter } from '../../store.js';
import { stateCode } from '../call.codes.js';
import * as arrays from './arrays.js';
import type { SqlValue } from './connection.js';
import { CALL_COLUMNS } from './rows.js';

export interface ListQuery {
  readonly text: string;
  readonly values: SqlValue[];
}

/** The query for a page of calls, newest first: conditions that are not asked for are not in it, so that indexes are of use. */
export function listQuery(
  schema: string,
  filter: CallFilter,
  page: { readonly limit: number; readonly after?: string },
): ListQuery {
  const values: SqlValue[] = [];
  const conditions: string[] = [];
  /** `?` stands for the value. */
  const require = (condition: string, value: SqlValue | undefined): void => {
    if (value === undefined) return;
    values.push(value);
    conditions.push(condition.replaceAll('?', `$${values.length}`));
  };
  if (page.after !== undefined) require('seq < ?', Number(page.after));
  if (filter.state !== undefined) {
    const states = [filter.state].flat();
    require('state = ANY (?::smallint[])', arrays.numbers(states.map(stateCode)));
    if (!states.some(isFinished)) conditions.push('finished_at IS NULL');
  }
  require('function = ?', filter.function);
  require(`(id = ? OR root = ? AND parent IS NOT NULL) AND root = ?`, filter.rootId);
  require(`parent = ? AND parent IS NOT NULL AND root = (SELECT ancestor.root FROM ${schema}.calls AS ancestor WHERE ancestor.id = ?)`, filter.parentId);
  if (filter.roots === true) conditions.push('parent IS NULL');
  require('created_at > ?', filter.createdAfter);
  require('created_at < ?', filter.createdBefore);
  values.push(page.limit);
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
  const columns = CALL_COLUMNS.join(', ');
  return { text: `SELECT ${columns} FROM ${schema}.calls ${where} ORDER BY seq DESC LIMIT $${values.length}`, values };
}
