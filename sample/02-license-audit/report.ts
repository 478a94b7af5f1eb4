import Table from 'cli-table3';
import type { Audit } from './license-audit.service.js';

/** The report as text: a table by licence, the packages that need a look, totals. */
export function renderReport(folder: string, audits: readonly Audit[]): string {
  const byLicense = new Map<string, { category: string; count: number }>();
  for (const { id, category } of audits) {
    const row = byLicense.get(id) ?? { category, count: 0 };
    row.count++;
    byLicense.set(id, row);
  }
  const table = new Table({ head: ['Licence', 'Category', 'Packages'], style: { head: [], border: [] } });
  const rows = [...byLicense].sort(([a, x], [b, y]) => y.count - x.count || a.localeCompare(b));
  for (const [id, { category, count }] of rows) table.push([id === '' ? '(none)' : id, category, count]);

  const doubtful = audits.filter(({ category }) => category === 'none' || category === 'unknown');
  const texts = new Set(audits.map(({ textHash }) => textHash).filter((hash) => hash !== ''));
  return [
    `Licences of the packages in ${folder}`,
    '',
    table.toString(),
    '',
    doubtful.length === 0 ? 'Every package has a known licence.' : 'Packages with no licence, or an unknown one:',
    ...doubtful.map(({ name, version, id }) => `  ${name}@${version}${id === '' ? '' : `: ${id}`}`),
    '',
    `Total: ${audits.length} packages, ${byLicense.size} licences, ${texts.size} different licence texts, ` +
      `${audits.filter(({ textHash }) => textHash === '').length} packages without a licence file.`,
    '',
  ].join('\n');
}
