import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outputOf, runCommand } from '../../../support/command.ts';
import { checkout, makePackages } from '../../../support/packages/builders.ts';
import { keepMounts, newMountNamespace } from '../../../support/system/mount-namespace.ts';

const test = suite('packages');
const scripts = join(checkout, 'src/build/package');
const directory = mkdtempSync(join(tmpdir(), 'iotedge-packages-'));
const epoch = '1790000000';
let deb = '';

type Options = NonNullable<Parameters<typeof makePackages>[2]>;

/** Makes iotedge-dbus in a new directory. */
async function make(name: string, options: Options = {}): Promise<string> {
  const out = join(directory, name);
  const env = { ...options.env, SOURCE_DATE_EPOCH: epoch };
  const [path = ''] = await makePackages(out, ['iotedge-dbus'], { ...options, env });
  return path;
}

const field = async (name: string) =>
  (await outputOf('dpkg-deb', ['--field', deb, name])).toString().trim();

test.before(async () => {
  deb = await make('first');
});
test.after(() => rmSync(directory, { recursive: true }));

test('have a usage line', async () => {
  const program = join(scripts, 'package.mjs');
  const [help, wrong] = await Promise.all(
    ['--help', '--nonsense'].map((option) => runCommand(process.execPath, [program, option])),
  );
  const usage = /^usage: npm run package -- .*\n$/;
  assert.is(help?.code, 0);
  assert.match(String(help?.stdout), usage);
  assert.is(wrong?.code, 1);
  assert.match(String(wrong?.stderr), usage);
});

/** Runs it as another user, to whom a checkout below /root would be closed. */
function otherUser(place: string) {
  const become = 'exec setpriv --reuid=65534 --clear-groups -- "$@"';
  const script = `${keepMounts} && mount --bind "$1" "$2" && shift 2 && ${become}`;
  return { before: [...newMountNamespace, 'sh', '-c', script, 'sh', checkout, place], place };
}

test('has the same bytes when it is made again, elsewhere and by another user', async () => {
  chmodSync(directory, 0o755);
  const [temporary, out] = ['other temporary files', 'again'].map((name) => join(directory, name));
  for (const path of [temporary, out]) {
    mkdirSync(path ?? '');
    chmodSync(path ?? '', 0o777);
  }
  const elsewhere = join(directory, 'checkout');
  mkdirSync(elsewhere);
  process.umask(0o077);
  const env = { TMPDIR: temporary ?? '', TZ: 'Asia/Tokyo', LC_ALL: 'C' };
  const again = await make('again', { env, ...(process.getuid?.() === 0 && otherUser(elsewhere)) });
  process.umask(0o022);
  assert.ok(readFileSync(again).equals(readFileSync(deb)));
});

test('belongs to root and has the time of its sources', async () => {
  const list = (await outputOf('dpkg-deb', ['--contents', deb], { env: { TZ: 'UTC' } })).toString();
  const lines = list.trim().split('\n');
  assert.ok(lines.length > 100, `${lines.length} files`);
  assert.match(
    lines[0] ?? '',
    /^drwxr-xr-x .* \.\/$/,
    'whose mode dpkg-deb -x gives to its target',
  );
  const time = new Date(Number(epoch) * 1000).toISOString().slice(0, 16).replace('T', ' ');
  assert.equal(
    lines.filter((line) => !line.includes('root/root') || !line.includes(time)),
    [],
  );
});

test('depends on a Node, a bus and the libraries that its addons are linked with', async () => {
  const depends = await field('Depends');
  for (const wanted of [
    /\bnodejs \(>= 20\.19\) \| iotedge-node\b/,
    /\bdbus-system-bus\b/,
    /\blibc6 \(>= 2\.\d+\)/,
    /\blibsystemd0\b/,
    /\blibstdc\+\+6\b/,
  ])
    assert.match(depends, wanted);
});

test('needs less than 12 MB without Node, with its code caches', async () => {
  const installedKiB = Number(await field('Installed-Size'));
  const lib = join(checkout, 'dist/lib');
  const caches = readdirSync(lib).filter((name) => name.endsWith('.cache'));
  const cacheBytes = caches.reduce((sum, name) => sum + readFileSync(join(lib, name)).length, 0);
  assert.ok(caches.length >= 6);
  const bytes = installedKiB * 1024 + cacheBytes;
  assert.ok(bytes < 12e6, `${bytes} bytes`);
  console.log(
    `installed ${(bytes / 1e6).toFixed(1)} MB, package ${readFileSync(deb).length} bytes`,
  );
});

test('is not made for another architecture without its compiler: one line names what to install', async () => {
  const other = process.arch === 'arm64' ? 'amd64' : 'arm64';
  const script = join(scripts, 'package.mjs');
  const out = join(directory, 'other');
  const options = ['--architecture', other, '--out', out, 'iotedge-dbus'];
  const env = { PATH: directory };
  const { code, stderr } = await runCommand(process.execPath, [script, ...options], { env });
  assert.is(code, 1);
  const [line = '', ...more] = stderr.trim().split('\n');
  assert.equal(more, []);
  assert.match(line, /^what builds for (amd64|arm64) is missing: dpkg --add-architecture /);
  for (const name of [`libsystemd-dev:${other}`, `libssl3:${other}`, '&& apt-get install g++-'])
    assert.ok(line.includes(name), line);
  assert.not.ok(existsSync(out));
});

test('is not made for an architecture that no Node is packaged for', async () => {
  const options = [join(scripts, 'package.mjs'), '--architecture', 'riscv64'];
  const { code, stderr } = await runCommand(process.execPath, options);
  assert.equal({ code, stderr }, { code: 1, stderr: 'no packages are made for riscv64\n' });
});

test('is accepted by lintian', async () => {
  const root = process.getuid?.() === 0 ? ['--allow-root'] : [];
  const options = [...root, '--fail-on=error,warning', '--tag-display-limit=0'];
  const { code, stdout, stderr } = await runCommand('lintian', [...options, deb], {
    timeoutMs: 120_000,
  });
  assert.is(code, 0, `${stdout.toString()}${stderr}`);
});

test('has scripts in which shellcheck finds nothing', async () => {
  const debian = readdirSync(join(scripts, 'debian'))
    .filter((name) => /\.(preinst|postinst|prerm|postrm)$/.test(name))
    .map((name) => join(scripts, 'debian', name));
  assert.is(debian.length, 3);
  const files = [join(scripts, 'iotedge-setup.sh'), ...debian];
  const { code, stdout } = await runCommand('shellcheck', files);
  assert.equal({ code, output: stdout.toString() }, { code: 0, output: '' });
});

test.run();
