import { describe, expect, it } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const PAGES = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync('docs').map((name) => `docs/${name}`),
  ...readdirSync('sample').map((name) => `sample/${name}/README.md`),
];
const read = (path: string): string => readFileSync(path, 'utf8');
const readme = read('README.md');

describe('the documentation', () => {
  it.each(PAGES.flatMap(examplesOf))('$page shows $path as it is', ({ path, code }) => {
    expect(code).toBe(read(path));
  });

  it('shows every example of the test kit, and explains every name that it exports', () => {
    const examples = readdirSync('test/kit/examples').map((name) => `test/kit/examples/${name}`);
    expect(
      examplesOf('docs/testing.md')
        .map(({ path }) => path)
        .sort(),
    ).toEqual(examples.sort());
    const exported = [...read('lib/testing/index.ts').matchAll(/export \{([^}]*)\}/g)]
      .flatMap(([, names = '']) => names.split(','))
      .map((name) => name.trim())
      .filter((name) => name !== '' && !name.startsWith('type '));
    const page = read('docs/testing.md');
    const examplesText = examples.map(read).join('');
    expect(exported.length).toBeGreaterThan(9);
    expect(exported.filter((name) => !page.includes(`\`${name}`))).toEqual([]);
    expect(exported.filter((name) => !examplesText.includes(name))).toEqual([]);
  });

  it('shows an example for each library whose transactions a dispatch can join', () => {
    const examples = readdirSync('test/adapters/examples').map((name) => `test/adapters/examples/${name}`);
    expect(
      examplesOf('docs/transactions.md')
        .map(({ path }) => path)
        .sort(),
    ).toEqual(examples.sort());
    const { dependencies } = JSON.parse(read('test/adapters/package.json')) as { dependencies: object };
    const page = read('docs/dependencies.md');
    expect(Object.keys(dependencies).filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });

  it('begins with the quickstart', () => {
    expect(readme.match(/<!-- \S+ -->/g)).toEqual([
      '<!-- sample/01-quickstart/orders.ts -->',
      '<!-- sample/01-quickstart/app.module.ts -->',
      '<!-- test/kit/examples/time.test.ts -->',
    ]);
  });

  it.each(PAGES)('%s links to nothing that is not there', (page) => {
    const links = [...read(page).matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => link);
    const broken = links.filter((link) => !link.startsWith('https://') && !isThere(page, link));
    expect(broken).toEqual([]);
  });

  it('names every option of the module, and no other', () => {
    const options = read('lib/dispatch.options.ts');
    const expected = [
      ...namesIn(options, 'DispatchModuleOptions').filter((name) => name !== 'endpoint'),
      ...namesIn(options, 'EmbeddedSchedulerOptions').map((name) => `scheduler.${name}`),
      ...namesIn(options, 'EndpointOptions').map((name) => `endpoint.${name}`),
    ];
    expect(firstCells('## Configuration').sort()).toEqual(expected.sort());
  });

  it('names every option of the decorator, and no other', () => {
    const expected = namesIn(read('lib/decorators/function-metadata.ts'), 'DispatchFunctionOptions');
    expect(firstCells('## The decorator').sort()).toEqual(expected.sort());
  });

  it('names every variable that the settings read', () => {
    const settings = read('lib/dispatch.settings.ts');
    const variables = new Set(settings.match(/DISPATCH_[A-Z_]+/g));
    const named = new Set(section('## Configuration').match(/DISPATCH_[A-Z_]+/g));
    expect([...named].sort()).toEqual([...variables].sort());
  });

  it('names every error that can be thrown', () => {
    const classes = [...read('lib/errors/dispatch.error.ts').matchAll(/class (\w+Error) extends DispatchError/g)];
    const missing = classes
      .map(([, name = '']) => name)
      .filter((name) => !read('docs/errors.md').includes(`\`${name}\``));
    expect(missing).toEqual([]);
  });

  it('gives a reason for every dependency, and for none that is not there', () => {
    const { dependencies, optionalDependencies, devDependencies } = JSON.parse(read('package.json')) as Record<
      string,
      Record<string, string>
    >;
    const expected = Object.keys({ ...dependencies, ...optionalDependencies, ...devDependencies });
    const rows = read('docs/dependencies.md').match(/^\| `[^|]*\|/gm) ?? [];
    const named = rows.flatMap((row) => [...row.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name));
    expect(named.sort()).toEqual(expected.sort());
  });

  it('has an entry in the changes for the version of the package', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    expect(read('CHANGELOG.md')).toContain(`\n## ${version}\n`);
  });
});

/** Code of a page that is that of a file, which the line before it names. */
function examplesOf(page: string): { page: string; path: string; code: string }[] {
  const found = read(page).matchAll(/<!-- (\S+) -->\n```ts\n([^]*?)```/g);
  return [...found].map(([, path = '', code = '']) => ({ page, path, code }));
}

/** The part of the README below a heading of the second level. */
function section(heading: string): string {
  const start = readme.indexOf(`\n${heading}\n`);
  return readme.slice(start, readme.indexOf('\n## ', start + 1));
}

/** What the rows of the section's table begin with. */
function firstCells(heading: string): string[] {
  return [...section(heading).matchAll(/^\| `([^`]+)` \|/gm)].map(([, name = '']) => name);
}

/** The properties of an interface, as its source has them. */
function namesIn(source: string, name: string): string[] {
  const body = new RegExp(`interface ${name} \\{\\n([^]*?)\\n\\}`).exec(source)?.[1] ?? '';
  return [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, property = '']) => property);
}

function isThere(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : normalize(join(dirname(page), path));
  if (!existsSync(target)) return false;
  if (anchor === undefined) return true;
  const headings = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  );
  return headings.includes(anchor);
}
