import Table from 'cli-table3';
import type { Category } from './license.js';
import type { Audit } from './license-audit.service.js';

/** The report as text: a table by licence, the packages that need a look, totals. */
export function renderReport(folder: string, audits: readonly Audit[]): string {
  const rows = new Map<string, { license: string; category: Category; packages: number }>();
  for (const { id, category } of audits) {
    const license = category === 'unreadable' ? '(broken package.json)' : id === '' ? '(none)' : id;
    const key = `${license}\n${category}`;
    const row = rows.get(key) ?? { license, category, packages: 0 };
    row.packages++;
    rows.set(key, row);
  }
  const table = new Table({ head: ['Licence', 'Category', 'Packages'], style: { head: [], border: [] } });
  const sorted = [...rows.values()].sort((a, b) => b.packages - a.packages || (a.license < b.license ? -1 : 1));
  for (const { license, category, packages } of sorted) table.push([license, category, packages]);

  const doubtful = audits.filter(({ category }) => DOUBTFUL.includes(category));
  const licenses = new Set(
    audits.filter(({ id, category }) => id !== '' && category !== 'unreadable').map(({ id }) => id),
  );
  const texts = new Set(audits.map(({ textHash }) => textHash).filter((hash) => hash !== ''));
  return [
    `Licences of the packages in ${folder}`,
    '',
    table.toString(),
    '',
    doubtful.length === 0 ? 'Every package has a known licence.' : 'Packages that need a look:',
    ...doubtful.map(lineOf),
    '',
    `Total: ${audits.length} packages, ${licenses.size} licences, ${texts.size} different licence texts, ` +
      `${audits.filter(({ textHash }) => textHash === '').length} packages without a licence file.`,
    '',
  ].join('\n');
}

const DOUBTFUL: readonly Category[] = ['none', 'unknown', 'unreadable'];

function lineOf({ name, version, id, category }: Audit): string {
  const named = version === '' ? name : `${name}@${version}`;
  switch (category) {
    case 'unreadable':
      return `  ${named}: its package.json is no JSON object`;
    case 'none':
      return `  ${named}: ${id === '' ? 'no licence' : `${id}, nobody may use it`}`;
    default:
      return `  ${named}: ${id}, an unknown licence`;
  }
}
