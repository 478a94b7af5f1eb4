/**
 * A recursive common table of the distinct values of the first columns of an index, found by a jump for each.
 *
 * @param which the condition of the index
 * @param columns the names that they have in the table, with their expressions
 */
export function distinct(
  calls: string,
  table: string,
  which: string,
  columns: Readonly<Record<string, string>>,
): string {
  const names = Object.keys(columns);
  const values = Object.values(columns).join(', ');
  const named = Object.entries(columns)
    .map(([name, value]) => `${value} AS ${name}`)
    .join(', ');
  return `
    ${table} (${names.join(', ')}) AS (
      (SELECT ${named} FROM ${calls} WHERE ${which} ORDER BY ${values} LIMIT 1)
      UNION ALL
      SELECT next.* FROM ${table} AS lane CROSS JOIN LATERAL (
        SELECT ${named} FROM ${calls} WHERE ${which} AND (${values}) > (${names.map((name) => `lane.${name}`).join(', ')})
        ORDER BY ${values} LIMIT 1) AS next)`;
}
