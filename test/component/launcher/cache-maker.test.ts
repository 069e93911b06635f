import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { readBundle } from '../../../src/launcher/bundle.ts';
import { CacheMaker } from '../../../src/launcher/cache-maker/cache-maker.ts';
import { cachedCode } from '../../../src/launcher/code-cache.ts';
import { type CommandOptions, type Outcome, runCommand } from '../../support/command.ts';
import { Programs } from '../../support/launcher/programs.ts';
import { suite } from '../../support/timed-suite.ts';

const test = suite('the maker of code caches');

const names = [
  'iotedge-keys',
  'iotedge-certificates',
  'iotedge-identity',
  'iotedge-pkcs11',
  'iotedge-modules',
  'iotedgectl',
];

function make(
  programs: Programs,
  args: readonly string[] = [],
  options: CommandOptions = {},
): Promise<Outcome> {
  return runCommand(process.execPath, [programs.program('iotedge-code-cache'), ...args], options);
}

test('makes the cache of every program, leaves nothing else, and makes none again', async () => {
  await using programs = await Programs.copy('iotedge-code-cache', ...names);
  const temporary = join(programs.directory, 'tmp');
  await mkdir(temporary);
  // a bus that is not its own would be noticed
  const env = { TMPDIR: temporary, DBUS_SYSTEM_BUS_ADDRESS: 'unix:path=/nowhere' };
  const inode = async () => (await stat(programs.cache('iotedge-keys'))).ino;
  const outcome = await make(programs, [], { env });
  assert.equal([outcome.code, outcome.stderr], [0, '']);
  for (const name of names) {
    assert.ok(cachedCode(readBundle(programs.bundle(name))), name);
    assert.is((await stat(programs.cache(name))).mode & 0o777, 0o644);
  }
  assert.equal(await readdir(temporary), []);
  assert.is((await readdir(programs.bundles)).length, 2 * names.length + 1);
  const before = await inode();
  assert.is((await make(programs)).code, 0);
  assert.is(await inode(), before);
});

test('makes a cache again that does not fit, also twice at once and with any umask', async () => {
  await using programs = await Programs.copy('iotedge-code-cache', 'iotedge-keys');
  await writeFile(programs.cache('iotedge-keys'), 'old');
  const command = `umask 0; exec '${process.execPath}' '${programs.program('iotedge-code-cache')}' iotedge-keys`;
  const outcomes = await Promise.all([1, 2, 3].map(() => runCommand('sh', ['-c', command])));
  for (const { code, stderr } of outcomes) assert.equal([code, stderr], [0, '']);
  assert.ok(cachedCode(readBundle(programs.bundle('iotedge-keys'))));
  assert.is((await readdir(programs.bundles)).length, 3);
});

test('reports a program that does not reply, and makes the others', async () => {
  const broken = 'iotedge-certificates';
  await using programs = await Programs.copy('iotedge-code-cache', broken, 'iotedgectl');
  await writeFile(programs.bundle(broken), 'console.error("no start"); process.exit(3);');
  const { code, stderr } = await make(programs, [broken, 'iotedgectl']);
  assert.is(code, 1);
  assert.is(
    stderr,
    'iotedge-code-cache: iotedge-certificates: no reply before its end (exit code 3): no start\n',
  );
  const bundles = await readdir(programs.bundles);
  assert.not.ok(bundles.includes(`${broken}.cache`));
  assert.ok(bundles.includes('iotedgectl.cache'));
});

test('ends a program that hangs', async () => {
  await using programs = await Programs.copy('iotedge-code-cache', 'iotedge-certificates');
  await writeFile(programs.bundle('iotedge-certificates'), 'setTimeout(() => undefined, 5000);');
  const maker = new CacheMaker(programs.bundle('iotedge-code-cache'), 500);
  const failure = await maker.make('iotedge-certificates').catch(String);
  assert.match(String(failure), 'no reply before its end (SIGKILL)');
});

test('does not keep code of a program that replies and does not stop in order', async () => {
  await using programs = await Programs.copy('iotedge-code-cache', 'iotedge-certificates');
  const bundle = programs.bundle('iotedge-certificates');
  const text = await readFile(bundle, 'latin1');
  await writeFile(bundle, `process.on=()=>process;${text}`, 'latin1');
  const { code, stderr } = await make(programs, ['iotedge-certificates']);
  assert.is(code, 1);
  assert.match(stderr, 'iotedge-certificates: no orderly end (SIGTERM)');
});

test('keeps the code of every function where a start takes a token', async () => {
  await using programs = await Programs.copy('iotedge-code-cache', 'iotedge-keys');
  const bundle = programs.bundle('iotedge-keys');
  await writeFile(bundle, `exports.neverCalled = () => '${'x'.repeat(100)}';`);
  assert.is((await make(programs, ['iotedge-keys'])).code, 0);
  assert.match(await readFile(programs.cache('iotedge-keys'), 'latin1'), 'x'.repeat(100));
  await writeFile(bundle, 'function (');
  const { code, stderr } = await make(programs, ['iotedge-keys']);
  assert.is(code, 1);
  assert.match(stderr, 'SyntaxError');
});

test('knows its programs', async () => {
  await using programs = await Programs.copy('iotedge-code-cache');
  const { code, stderr } = await make(programs, ['iotedge-other']);
  assert.is(code, 2);
  assert.match(stderr, 'iotedge-code-cache [NAME...]');
});

test.run();
