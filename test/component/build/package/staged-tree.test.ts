import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outputOf } from '../../../support/command.ts';
import { installSystem } from '../../../support/packages/builders.ts';

const test = suite('staged tree');
const root = join(import.meta.dirname, '../../../../..');
const tree = mkdtempSync(join(tmpdir(), 'iotedge-tree-'));

/** Every path below a folder, relative to it. */
function pathsBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
}

const within = (path: string) => join(tree, path);
const text = (path: string) => readFileSync(within(path), 'latin1');
const isFile = (path: string) => lstatSync(within(path)).isFile();
const isLink = (path: string) => lstatSync(within(path)).isSymbolicLink();

test.before(async () => {
  process.umask(0o077);
  await installSystem(tree, ['--node', '/usr/bin/node']);
});
test.after(() => rmSync(tree, { recursive: true }));

/** The files of the checkout below these folders. */
function sources(...folders: readonly string[]): readonly string[] {
  return folders.flatMap((folder) =>
    pathsBelow(join(root, folder))
      .map((name) => join(folder, name))
      .filter((path) => lstatSync(join(root, path)).isFile()),
  );
}

test('has every file of a build and of the folders that are installed', () => {
  const expected = sources(
    'dist/bin',
    'dist/lib',
    'systemd-units',
    'dbus-policy',
    'config-examples',
    'docs',
  )
    .filter((path) => !path.endsWith('.cache'))
    .map((path) => basename(path).replace(/^iotedge\.(sysusers|tmpfiles)$/, 'iotedge.conf'));
  const installed = new Set(pathsBelow(tree).map((path) => basename(path)));
  assert.equal(
    expected.filter((name) => !installed.has(name)),
    [],
  );
  assert.ok(expected.length > 60, `only ${expected.length} files`);
});

test('has each file where it is searched', () => {
  const places = [
    'etc/iotedge',
    'usr/bin/iotedgectl',
    'usr/lib/iotedge/bin/iotedge-keys.cjs',
    'usr/lib/iotedge/bin/iotedge-setup',
    'usr/lib/iotedge/lib/iotedge-tls-worker.cjs',
    'usr/lib/iotedge/lib/pkcs11.node',
    'usr/lib/iotedge/lib/ossl-modules/iotedge-keys.so',
    'usr/lib/systemd/system/iotedge-keys.service',
    'usr/lib/systemd/system/iotedge-modules-workload.socket',
    'usr/lib/sysusers.d/iotedge.conf',
    'usr/lib/tmpfiles.d/iotedge.conf',
    'usr/share/dbus-1/system-services/org.iotedge.Keys1.service',
    'usr/share/dbus-1/system.d/org.iotedge.Keys1.conf',
    'usr/share/dbus-1/interfaces/org.iotedge.Keys1.Key.xml',
    'usr/share/polkit-1/actions/org.iotedge.keys1.policy',
    'usr/share/iotedge/schema/keys.json',
    'usr/share/doc/iotedge-dbus/examples/keys.yaml',
    'usr/share/doc/iotedge-dbus/README.md',
  ];
  const installed = new Set(pathsBelow(tree));
  assert.equal(
    places.filter((path) => !installed.has(path)),
    [],
  );
});

test('has every file that its manual pages name', () => {
  const pages = pathsBelow(tree).filter(
    (path) => path.startsWith('usr/share/man/') && isFile(path),
  );
  const named = pages.flatMap((path) =>
    text(path)
      .replaceAll('\\-', '-')
      .match(/\/usr\/[\w./-]*\w/g),
  );
  const installed = new Set(pathsBelow(tree));
  assert.ok(named.length > 20, `${named.length} files`);
  assert.equal(
    named.filter((path) => path?.includes('iotedge') && !installed.has(path.slice(1))),
    [],
  );
});

/** The absolute paths in the OpenSSL configuration of a tree, which has one module. */
function openSslPaths(where: string, prefix: string): readonly string[] {
  const config = join(where, prefix, 'lib/iotedge/lib/openssl.cnf');
  const matches = readFileSync(config, 'utf8').matchAll(/\/\w[\w.-]*\/[\w./-]+\w/g);
  const paths = [...matches].map(([path]) => path);
  assert.ok(paths.some((path) => path.endsWith('.so')));
  assert.ok(paths.includes(join(prefix, 'lib/iotedge/lib/openssl.cnf')));
  return paths;
}

test('has every file that its OpenSSL configuration names', () => {
  assert.equal(
    openSslPaths(tree, '/usr').filter((path) => !isFile(path)),
    [],
  );
});

test('has modes that do not depend on the umask', () => {
  const modes = pathsBelow(tree)
    .filter((path) => !isLink(path))
    .map((path) => {
      const isProgram = path.startsWith('usr/lib/iotedge/bin/') || !isFile(path);
      const mode = (lstatSync(within(path)).mode & 0o7777).toString(8);
      return { path, mode, expected: isProgram ? '755' : '644' };
    });
  assert.equal(
    modes.filter(({ mode, expected }) => mode !== expected),
    [],
  );
});

test('has links that lead to what is installed', () => {
  const broken = pathsBelow(tree)
    .filter((path) => isLink(path) && path !== 'usr/lib/iotedge/bin/node')
    .filter((path) => {
      const target = resolve('/', dirname(path), readlinkSync(within(path)));
      return !pathsBelow(tree).includes(relative('/', target));
    });
  assert.equal(broken, []);
  assert.is(readlinkSync(within('usr/lib/iotedge/bin/node')), '/usr/bin/node');
});

test('runs the Node of the installation, in launchers and units', () => {
  const programs = readdirSync(within('usr/lib/iotedge/bin')).filter((name) =>
    name.endsWith('.cjs'),
  );
  assert.ok(programs.length >= 7);
  for (const name of programs)
    assert.match(text(`usr/lib/iotedge/bin/${name}`), /^#!\/usr\/lib\/iotedge\/bin\/node\n/);
  const units = readdirSync(within('usr/lib/systemd/system')).filter((name) =>
    name.endsWith('.service'),
  );
  for (const name of units) {
    const [, node = '', program = ''] =
      /^ExecStart=(\S+) (\S+)$/m.exec(text(`usr/lib/systemd/system/${name}`)) ?? [];
    assert.is(node, '/usr/lib/iotedge/bin/node');
    assert.ok(isFile(program), program);
  }
});

test('has addons without debug information, whose relocations are read-only', async () => {
  const addons = pathsBelow(tree).filter((path) => /\.(node|so)$/.test(path));
  assert.is(addons.length, 4);
  const options = ['--wide', '--sections', '--program-headers'];
  const headers = (await outputOf('readelf', [...options, ...addons.map(within)])).toString();
  assert.not.match(headers, /\.debug_/);
  assert.is(headers.match(/GNU_RELRO/g)?.length, 4);
});

test('has addons that are the same wherever they are built', async () => {
  const builder = join(root, 'src/native/build.mjs');
  const elsewhere = mkdtempSync(join(tmpdir(), 'iotedge-native-'));
  try {
    const options = ['--only', 'linux', join(elsewhere, 'lib')];
    await outputOf(process.execPath, [builder, ...options], { timeoutMs: 120_000 });
    const [one, other] = [join(elsewhere, 'lib'), join(root, 'dist/lib')].map((folder) =>
      readFileSync(join(folder, 'iotedge_linux.node')),
    );
    assert.ok(one?.equals(other ?? Buffer.alloc(0)));
  } finally {
    rmSync(elsewhere, { recursive: true });
  }
});

test('has no path of the machine that built it, and no code caches', () => {
  const files = pathsBelow(tree).filter((path) => !isLink(path) && isFile(path));
  assert.equal(
    files.filter((path) => text(path).includes(resolve(root))),
    [],
  );
  assert.equal(
    pathsBelow(tree).filter((path) => /node_modules|\.cache$|\.map$|\.new$/.test(path)),
    [],
  );
});

test('has its programs below another prefix, and what systemd and the bus read in /usr', async () => {
  const other = mkdtempSync(join(tmpdir(), 'iotedge-tree-'));
  try {
    await installSystem(other, ['--prefix', '/opt/edge']);
    const launcher = readFileSync(join(other, 'opt/edge/lib/iotedge/bin/iotedge-keys.cjs'), 'utf8');
    assert.match(launcher, /^#!\/opt\/edge\/lib\/iotedge\/bin\/node\n/);
    const unit = readFileSync(join(other, 'usr/lib/systemd/system/iotedge-keys.service'), 'utf8');
    assert.match(unit, /^ExecStart=\/opt\/edge\/lib\/iotedge\/bin\/node \/opt\/edge\//m);
    for (const path of openSslPaths(other, '/opt/edge')) assert.ok(lstatSync(join(other, path)));
    assert.not.ok(pathsBelow(other).includes('usr/lib/iotedge'));
  } finally {
    rmSync(other, { recursive: true });
  }
});

test.run();
