import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('architecture');
const root = join(import.meta.dirname, '../..');
const domains = ['keys', 'certificates', 'identity', 'modules'];

const anywhere = ['cancellation.ts', 'errors.ts', 'glob.ts', 'ids.ts', 'quoted.ts'];

/** The files of `src` that a file may import; the first row whose folder or file matches applies. A folder may always import itself. */
const mayImport: readonly (readonly [string, readonly string[]])[] = [
  ['cancellation.ts', []],
  ['quoted.ts', []],
  ['errors.ts', ['quoted.ts']],
  ['ids.ts', ['errors.ts', 'quoted.ts']],
  ['glob.ts', ['ids.ts']],
  ['interfaces/', ['dbus/definition.ts']],
  ['dbus/wire/', ['errors.ts', 'quoted.ts']],
  ['dbus/', ['cancellation.ts', 'errors.ts', 'quoted.ts']],
  ['service/', ['dbus/', 'interfaces/', 'native/', ...anywhere]],
  ['https/', ['service/', 'native/', 'errors.ts', 'quoted.ts']],
  ['x509/', ['errors.ts', 'quoted.ts']],
  ['native/', []],
  ['launcher/cache-maker/', ['launcher/', 'dbus/', 'interfaces/', 'errors.ts', 'quoted.ts']],
  ['launcher/', ['service/command-line.ts', 'service/systemd/manager-environment.ts']],
  [
    'modules/config/',
    [
      'service/config/',
      'x509/',
      'modules/docker/confinement/',
      'modules/docker/create-options/',
      ...anywhere,
    ],
  ],
  [
    'modules/supervisor/',
    ['dbus/client/', 'interfaces/', 'service/', 'modules/module-source.ts', ...anywhere],
  ],
  ['keys/pkcs11/protocol/', []],
  ['keys/pkcs11/host/', ['keys/pkcs11/protocol/', 'native/', 'errors.ts']],
  [
    'keys/pkcs11/library/',
    [
      'keys/pkcs11/protocol/',
      'keys/config/pkcs11-uri.ts',
      'native/built-file.ts',
      'service/backoff.ts',
      'service/mutex.ts',
      'service/state/',
      'cancellation.ts',
      'errors.ts',
    ],
  ],
  ...domains.map((name) => [`${name}/config/`, ['service/config/', 'x509/', ...anywhere]] as const),
  ...domains.map(
    (name) =>
      [
        `${name}/`,
        ['dbus/', 'interfaces/', 'service/', 'https/', 'native/', 'x509/', ...anywhere],
      ] as const,
  ),
  [
    'cli/',
    [
      'interfaces/',
      'dbus/',
      'service/config/',
      'service/authorization/rules.ts',
      'https/',
      'service/command-line.ts',
      'service/state/file-name.ts',
      ...domains.map((name) => `${name}/config/`),
      'modules/docker/labels.ts', // it removes the containers that the runtime recognizes
      'x509/',
      ...anywhere,
    ],
  ],
  ['build/', ['interfaces/', 'cli/', ...domains.map((name) => `${name}/config/`), 'dbus/xml.ts']],
];

/** Only `build` imports the types of the definition tables from their source; no code of `dbus` runs there. */
const typesOnly: Readonly<Record<string, readonly string[]>> = { 'build/': ['dbus/definition.ts'] };

/** The folder of `src` in which a package may be imported; packages that are not listed may not be imported at all. */
const packages: readonly { readonly name: RegExp; readonly folder: string }[] = [
  { name: /^dbus-next\//, folder: 'dbus/wire/' },
  {
    name: /^(winston|winston-transport|logform|triple-beam|ajv|js-yaml)(\/|$)/,
    folder: 'service/',
  },
  { name: /^node-forge\/lib\//, folder: 'x509/' },
  { name: /^pkcs11js$/, folder: 'keys/pkcs11/host/' },
  { name: /^dockerode$/, folder: 'modules/docker/' },
  { name: /^esbuild$/, folder: 'build/' },
];

interface Import {
  readonly from: string;
  readonly what: string;
  readonly typeOnly: boolean;
}

function filesBelow(folder: string, ending: RegExp): readonly string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => ending.test(name))
    .map((name) => `${folder}/${name}`)
    .sort();
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** Removes comments, so that words and imports in them do not count; strings that contain `//` stay. */
function withoutComments(text: string): string {
  return text.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (_, string: string | undefined) => string ?? '',
  );
}

function importsOf(file: string): readonly Import[] {
  const text = withoutComments(read(file));
  const statements =
    /^(?:import|export)\s+(type\s)?[^'";]*?from\s+'([^']+)'|^import\s+'([^']+)'|\b(?:import|require)\(\s*'([^']+)'/gm;
  return [...text.matchAll(statements)].map(([, type, named, bare, called]) => ({
    from: file,
    what: named ?? bare ?? called ?? '',
    typeOnly: type !== undefined,
  }));
}

function allowsLocal({ from, what, typeOnly }: Import): boolean {
  const importer = from.slice('src/'.length);
  const target = normalize(join(dirname(from), what));
  if (!target.startsWith('src/')) return importer.startsWith('build/') && what.endsWith('.mjs');
  const imported = target.slice('src/'.length);
  const rule = mayImport.find(([owner]) => importer.startsWith(owner));
  if (rule === undefined) return false;
  const [owner, allowed] = rule;
  const own = owner.endsWith('/') && imported.startsWith(owner);
  const types = typeOnly ? (typesOnly[owner] ?? []) : [];
  return own || [...allowed, ...types].some((prefix) => imported.startsWith(prefix));
}

function allowsPackage({ from, what }: Import): boolean {
  const importer = from.slice('src/'.length);
  return packages.some(({ name, folder }) => name.test(what) && importer.startsWith(folder));
}

const lines = (file: string): number => read(file).split('\n').length - 1;

function groupBy<T>(all: readonly T[], keyOf: (one: T) => string): ReadonlyMap<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
  return groups;
}

/** The cycles of a graph, each as its list of files. */
function circlesIn(
  targetsOf: (file: string) => readonly string[],
  files: readonly string[],
): readonly string[] {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) circles.push([...path.slice(at), file].join(' -> '));
    if (at >= 0 || done.has(file)) return;
    for (const target of targetsOf(file)) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  return circles;
}

const sourceImports = filesBelow('src', /\.ts$/).flatMap(importsOf);
const show = ({ from, what }: Import) => `${from} imports ${what}`;

test('finds the imports that it checks', () => {
  assert.ok(sourceImports.some(({ what }) => what.startsWith('dbus-next/')));
  assert.ok(sourceImports.some(({ what }) => what.endsWith('/dbus/definition.ts')));
});

test('keeps every import of src within the dependency table', () => {
  const local = sourceImports.filter(({ what }) => what.startsWith('.'));
  assert.equal(local.filter((one) => !allowsLocal(one)).map(show), []);
});

test('keeps every package in the folder that owns it', () => {
  const foreign = sourceImports.filter(({ what }) => !/^(\.|node:)/.test(what));
  assert.equal(foreign.filter((one) => !allowsPackage(one)).map(show), []);
});

test('finds no import cycles, including imports of types', () => {
  const local = sourceImports.filter(({ what }) => what.startsWith('.'));
  const next = groupBy(local, ({ from }) => from);
  const targetsOf = (file: string): readonly string[] =>
    (next.get(file) ?? []).map(({ what }) => normalize(join(dirname(file), what)));
  assert.equal(circlesIn(targetsOf, [...next.keys()]), []);
});

test('has at most 15 files side by side in a folder', () => {
  const code = /\.(ts|mjs|c|h|py)$/;
  const files = [...filesBelow('src', code), ...filesBelow('test', code)];
  const counts = [...groupBy(files, dirname)].map(([folder, { length }]) => ({ folder, length }));
  assert.equal(
    counts.filter(({ length }) => length > 15),
    [],
  );
});

test('has the same skeleton in every service', () => {
  const skeleton = ['main', 'start', 'service', 'handlers', 'properties', 'config/config'];
  const missing = domains
    .flatMap((name) => skeleton.map((part) => `src/${name}/${part}.ts`))
    .filter((file) => !existsSync(join(root, file)));
  assert.equal(missing, []);
  const long = domains.map((name) => `src/${name}/main.ts`).filter((file) => lines(file) > 15);
  assert.equal(long, []);
});

test('finds no call of another service without the request that it is made for', () => {
  const files = domains.flatMap((name) => filesBelow(`src/${name}`, /\.ts$/));
  const offenders = files.filter((file) =>
    /[^.\w]client\(|\bClient</.test(withoutComments(read(file))),
  );
  assert.equal(offenders, []);
});

test('joins signals in the runtime without AbortSignal.any, which leaks on Node 20', () => {
  const files = filesBelow('src/modules', /\.ts$/);
  const offenders = files.filter((file) => withoutComments(read(file)).includes('AbortSignal.any'));
  assert.equal(offenders, []);
});

test('compiles schemas in one module, which bundles replace', () => {
  const importers = sourceImports
    .filter(({ what }) => /^ajv(\/|$)/.test(what))
    .map(({ from }) => from);
  const allowed = ['schema-standalone', 'schema-validator'].map(
    (name) => `src/service/config/${name}.ts`,
  );
  assert.equal(
    [...new Set(importers)].filter((file) => !allowed.includes(file)),
    [],
  );
});

test('keeps files small', () => {
  const limit = (file: string) => (file.startsWith('src/') ? 400 : 600);
  const files = [...filesBelow('src', /\.(ts|mjs|c|h)$/), ...filesBelow('test', /\.(ts|mjs|c)$/)];
  const large = files.filter((file) => lines(file) > limit(file));
  assert.equal(large, []);
});

test('finds a call of run() in every test file', () => {
  const silent = filesBelow('test', /\.test\.ts$/).filter(
    (file) => !/\b(run\(\)|[a-zA-Z]+(Contract|Matrix)\()/.test(read(file)),
  );
  assert.equal(silent, []);
});

test('finds no TODO and no any', () => {
  const words = /\bTODO\b|\bFIXME\b|\bXXX\b|@ts-(?:ignore|expect-error|nocheck)/;
  const types = /:\s*any\b|\bas any\b|<any>/;
  const files = [...filesBelow('src', /\.(ts|mjs|c|h)$/), ...filesBelow('test', /\.(ts|mjs|c)$/)];
  const offenders = files
    .filter((file) => file !== 'test/architecture.test.ts')
    .filter((file) => words.test(read(file)) || types.test(withoutComments(read(file))));
  assert.equal(offenders, []);
});

test('finds no skipped test and no test.only', () => {
  const files = filesBelow('test', /\.test\.ts$/);
  assert.equal(
    files.filter((file) => /\.(?:skip|only)\(['"`]/.test(read(file))),
    [],
  );
});

test('has no barrels and no catch-all folders', () => {
  const names = [...filesBelow('src', /\.ts$/), ...filesBelow('test', /\.ts$/)];
  const vague = names.filter((name) =>
    /\/(index|types|utils?|helpers?|common)(\/|\.ts$)/.test(name),
  );
  assert.equal(vague, ['src/interfaces/common.ts']);
});

test.run();
