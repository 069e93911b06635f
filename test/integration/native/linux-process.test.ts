/** What a process sets for itself by the linux addon: its end with its parent, no core, no descriptors for programs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { endWithParent } from '../../../src/native/linux.ts';
import { runCommand } from '../../support/command.ts';
import { deadline } from '../../support/deadline.ts';

const test = suite<{ directory: string }>('linux addon: the process itself');
const module = new URL('../../../src/native/linux.js', import.meta.url).href;
const load = `import { closeOnExec, endWithParent, noCore, trimMemory } from ${JSON.stringify(module)}; trimMemory();`;
/** The paths of Node and the addon may be closed to other users: a program loads both, then changes its user. */
const become = 'process.setgroups([]); process.setgid(4712); process.setuid(4711);';

test.before(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-process-'));
  await chmod(context.directory, 0o777);
});

test.after(({ directory }) => rm(directory, { recursive: true, force: true }));

const words = (program: string) => ['--input-type=module', '-e', `${load}\n${program}`];

/** The first line that a program prints. */
async function firstLine({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) throw new TypeError('the output is not a pipe');
  const lines: readonly unknown[] = await deadline(
    10_000,
    once(createInterface(stdout), 'line'),
    'a line',
  );
  return String(lines[0]);
}

/** Starts a process with a child that runs a program, in which `parent` is the id of that process. */
function startFamily(program: string): ChildProcess {
  const child = words(`const parent = process.ppid; ${program}`);
  const parent = `
    import { spawn } from 'node:child_process';
    spawn(process.execPath, ${JSON.stringify(child)}, { stdio: 'inherit' });
    setInterval(() => undefined, 1000);`;
  return spawn(process.execPath, ['--input-type=module', '-e', parent]);
}

test('ends a child within a second when its parent is killed', async () => {
  const program = 'console.log(endWithParent(parent)); setTimeout(() => undefined, 5000);';
  const parent = startFamily(program);
  // both have the output open
  const closed = once(parent, 'close');
  assert.is(await firstLine(parent), 'true');
  parent.kill('SIGKILL');
  await deadline(1000, closed, 'the child to end');
});

test('reports a parent that ended before', async () => {
  const orphan = `
    console.log('ready');
    while (process.ppid === parent) await new Promise((resolve) => setTimeout(resolve, 5));
    console.log(endWithParent(parent));`;
  const parent = startFamily(orphan);
  assert.is(await firstLine(parent), 'ready');
  const after = firstLine(parent);
  parent.kill('SIGKILL');
  assert.is(await after, 'false');
});

test('refuses what is not the id of a process', () => {
  for (const parent of [0, -1, Number.NaN])
    assert.throws(
      () => endWithParent(parent),
      (error: unknown) => error instanceof Error && 'code' in error && error.code === 'EINVAL',
    );
});

/** The files in a directory of its own, in which a program was aborted that may write cores of any size. */
async function filesAfterAbort(directory: string, program: string): Promise<readonly string[]> {
  const cwd = await mkdtemp(join(directory, 'abort-'));
  const command = ['-c', 'ulimit -c unlimited; exec "$@"', 'sh', process.execPath];
  const { code } = await runCommand('sh', [...command, ...words(`${program}\nprocess.abort();`)], {
    cwd,
  });
  assert.is(code, 'SIGABRT');
  return readdir(cwd);
}

test('executes programs without a descriptor that the process inherited', async () => {
  const program = `
    import { execFileSync } from 'node:child_process';
    const hasIt = () => /^97$/m.test(execFileSync('ls', ['/proc/self/fd'], { encoding: 'utf8' }));
    const before = hasIt();
    closeOnExec();
    console.log(before, hasIt());`;
  const inherit = ['-c', 'exec 97</dev/null; exec "$@"', 'bash', process.execPath];
  const { stdout } = await runCommand('bash', [...inherit, ...words(program)]);
  assert.is(String(stdout).trim(), 'true false');
});

test('leaves no core of a process that is aborted', async ({ directory }) => {
  assert.equal(await filesAfterAbort(directory, 'noCore();'), []);
  const pattern = await readFile('/proc/sys/kernel/core_pattern', 'utf8');
  // elsewhere cores are piped, or have a directory of their own
  if (/^[|/]/.test(pattern)) return;
  assert.is((await filesAfterAbort(directory, '')).length, 1);
});

test('has neither a core limit nor memory that is dumped', async () => {
  const program = `${become} noCore(); console.log('ready'); setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, words(program));
  try {
    assert.is(await firstLine(child), 'ready');
    const limits = await readFile(`/proc/${child.pid}/limits`, 'utf8');
    assert.match(limits, /^Max core file size +0 +0 /m);
    // the kernel gives the files of a process that cannot be dumped to root
    assert.is((await stat(`/proc/${child.pid}/environ`)).uid, 0);
  } finally {
    child.kill('SIGKILL');
  }
});

/** What a process without privileges does after noCore(), and what others of its user can read of it. */
const unprivileged = `
  import { execFileSync } from 'node:child_process';
  import { generateKeyPairSync } from 'node:crypto';
  import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
  import { Worker } from 'node:worker_threads';
  ${become}
  noCore();
  const canDo = (what) => { try { what(); return true; } catch { return false; } };
  const canOthersRead = (name) =>
    canDo(() => execFileSync('cat', ['/proc/' + process.pid + '/' + name], { stdio: 'pipe' }));
  const answer = 'require("worker_threads").parentPort.postMessage(true)';
  const worker = new Worker(answer, { eval: true, execArgv: [] });
  console.log(JSON.stringify({
    createKey: canDo(() => generateKeyPairSync('ec', { namedCurve: 'P-256' })),
    listDescriptors: canDo(() => readdirSync('/proc/self/fd')),
    readMaps: canDo(() => readFileSync('/proc/self/maps')),
    measureMemory: canDo(() => process.memoryUsage()),
    findProgram: canDo(() => readlinkSync('/proc/self/exe')),
    startProgram: canDo(() => execFileSync('true')),
    startThread: await new Promise((resolve) => worker.once('message', resolve)),
    readEnvironment: canDo(() => readFileSync('/proc/self/environ')),
    others: ['cmdline', 'stat', 'status', 'environ', 'maps', 'mem'].filter(canOthersRead),
    ownerOfPrograms: execFileSync('stat', ['-c', '%u', '/proc/self/environ']).toString(),
  }));`;

test('works as before without a core, and is closed to others of its user', async () => {
  const options = { cwd: '/' };
  const { code, stdout, stderr } = await runCommand(process.execPath, words(unprivileged), options);
  assert.is(code, 0, stderr);
  assert.equal(JSON.parse(stdout.toString()), {
    createKey: true,
    listDescriptors: true,
    readMaps: true,
    measureMemory: true,
    findProgram: true,
    startProgram: true,
    startThread: true,
    // the file belongs to root; process.env is what it was
    readEnvironment: false,
    others: ['cmdline', 'stat', 'status'],
    ownerOfPrograms: '4711\n',
  });
});

test.run();
