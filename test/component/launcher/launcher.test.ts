import { readFile, writeFile } from 'node:fs/promises';
import * as assert from 'uvu/assert';
import { seal } from '../../../src/launcher/code-cache.ts';
import { type Outcome, outputOf, runCommand } from '../../support/command.ts';
import { Programs } from '../../support/launcher/programs.ts';
import { suite } from '../../support/timed-suite.ts';

const test = suite('the launcher of a program');

/** Reports on stderr whether V8 is given code for a bundle, and whether V8 rejects it. */
const script = `
import vm from 'node:vm';
const { Script } = vm;
vm.Script = class extends Script {
  constructor(text, options) {
    super(text, options);
    const given = options.cachedData === undefined ? 'no code' : 'code';
    process.stderr.write(given + (this.cachedDataRejected ? ' rejected' : '') + '\\n');
  }
};`;
const spy = `data:text/javascript,${encodeURIComponent(script)}`;

function watched(program: string, ...args: readonly string[]): Promise<Outcome> {
  return runCommand(process.execPath, ['--import', spy, program, ...args]);
}

async function keysWithCache(): Promise<Programs> {
  const programs = await Programs.copy('iotedge-keys', 'iotedge-code-cache');
  await outputOf(process.execPath, [programs.program('iotedge-code-cache'), 'iotedge-keys']);
  return programs;
}

test('gives V8 the code that was made for its bundle', async () => {
  await using programs = await keysWithCache();
  const { code, stdout, stderr } = await watched(programs.program('iotedge-keys'), '--introspect');
  assert.equal([code, stderr], [0, 'code\n']);
  assert.match(stdout.toString(), 'org.iotedge.Keys1');
});

test('starts without the code of a cache that is damaged or of another Node', async () => {
  await using programs = await keysWithCache();
  const good = await readFile(programs.cache('iotedge-keys'));
  const flipped = (place: number): Buffer => {
    const changed = Buffer.from(good);
    changed.writeUInt8(changed.readUInt8(place) ^ 1, place);
    return changed;
  };
  const source = await readFile(programs.bundle('iotedge-keys'));
  const bad = {
    'a flipped bit in the digest': flipped(7),
    'a flipped bit in the code': flipped(good.length >> 1),
    'a truncated cache': good.subarray(0, good.length >> 1),
    'an empty cache': Buffer.alloc(0),
    'a cache of another Node': seal(good.subarray(32), source, 'v20.0.0 x64 1 1'),
  };
  for (const [what, content] of Object.entries(bad)) {
    await writeFile(programs.cache('iotedge-keys'), content);
    const outcome = await watched(programs.program('iotedge-keys'), '--version');
    assert.equal([outcome.code, outcome.stderr], [0, 'no code\n'], what);
  }
});

test('starts with other options of V8 than those of the cache', async () => {
  await using programs = await keysWithCache();
  const argv = ['--no-opt', '--import', spy, programs.program('iotedge-keys'), '--version'];
  const { code, stderr } = await runCommand(process.execPath, argv);
  assert.equal([code, stderr], [0, 'code rejected\n']);
});

test('starts at once where a pipe is in the place of the cache', async () => {
  await using programs = await Programs.copy('iotedge-keys');
  await outputOf('mkfifo', ['-m', '644', programs.cache('iotedge-keys')]);
  const args = [programs.program('iotedge-keys'), '--version'];
  const { code } = await runCommand(process.execPath, args, { timeoutMs: 10_000 });
  assert.is(code, 0);
});

test('runs the bundle that is there, not the code of another one of equal length', async () => {
  await using programs = await keysWithCache();
  const path = programs.bundle('iotedge-keys');
  const source = await readFile(path, 'latin1');
  const changed = source.replace('where state is kept (', 'where state is held (');
  assert.is.not(changed, source);
  await writeFile(path, changed, 'latin1');
  const { code, stdout, stderr } = await watched(programs.program('iotedge-keys'), '--help');
  assert.equal([code, stderr], [0, 'no code\n']);
  assert.match(stdout.toString(), 'where state is held (');
});

test('runs a bundle as Node does: arguments, paths, exit code and the places of errors', async () => {
  await using programs = await Programs.copy('iotedge-keys');
  const [program, bundle] = [programs.program('probe'), programs.bundle('probe')];
  await writeFile(program, await readFile(programs.program('iotedge-keys')));
  await writeFile(
    bundle,
    `const first = new Error('first line');
process.exitCode = 7;
console.log(JSON.stringify([process.argv.slice(1), __filename, __dirname, this === module.exports,
  typeof require('node:path').join, require.resolve('./probe.cjs')]));
console.log(first.stack.split('\\n')[1], new Error('below').stack.split('\\n')[1]);
if (process.argv[2] === 'fail') throw new Error('at the top');
`,
  );
  const place = ({ stdout }: Outcome) => stdout.toString().split('\n').slice(1);
  const direct = await runCommand(process.execPath, [bundle, 'a', '--b']);
  const launched = await runCommand(process.execPath, [program, 'a', '--b']);
  assert.equal([launched.code, launched.stderr], [7, '']);
  assert.equal(place(launched), place(direct));
  const [seen = ''] = launched.stdout.toString().split('\n');
  const argv = [program, 'a', '--b'];
  assert.equal(JSON.parse(seen), [argv, bundle, programs.bundles, true, 'function', bundle]);
  const failed = await runCommand(process.execPath, [program, 'fail']);
  const failedDirectly = await runCommand(process.execPath, [bundle, 'fail']);
  const shown = ({ stderr }: Outcome) => stderr.split('\n').slice(0, 6);
  assert.is(failed.code, failedDirectly.code);
  assert.equal(shown(failed), shown(failedDirectly));
});

test.run();
