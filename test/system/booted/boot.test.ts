import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BootedSystem } from '../../support/boot/booted-system.ts';
import { deadline, until } from '../../support/deadline.ts';
import { runnable } from '../../support/not-runnable.ts';
import { isRunning } from '../../support/system/running.ts';

const suiteOfSystem = suite('booted system');
const test = runnable('booted-system', suiteOfSystem);
const support = new URL('../../support/boot/booted-system.js', import.meta.url).href;

/** A process that boots a system, prints what exists for it, and waits for its own end. */
const owner = `
const { BootedSystem } = await import(${JSON.stringify(support)});
const system = await BootedSystem.boot();
console.log(JSON.stringify({ pid: system.pid, directories: system.directories }));
setInterval(() => {}, 1000);
`;

async function untilGone(pid: number, directories: readonly string[]): Promise<void> {
  const left = () => directories.filter((directory) => existsSync(directory));
  const what = () => `the end of process ${pid} and of ${left().join(', ')}`;
  await until(15_000, what, async () => left().length === 0 && !(await isRunning(pid)));
}

test('has systemd as process 1, keeps its layer over a reboot, and leaves nothing behind', async () => {
  let pid = 0;
  let directories: readonly string[] = [];
  {
    await using system = await BootedSystem.boot();
    assert.is(await system.output('cat /proc/1/comm'), 'systemd');
    await system.write('/etc/kept', 'kept\n');
    await system.output(['systemd-cat', '--identifier=before', 'echo', 'before']);
    assert.is((await system.journal('SYSLOG_IDENTIFIER=before')).length, 1);
    await system.reboot();
    assert.equal(await system.journal('SYSLOG_IDENTIFIER=before'), []);
    assert.is(await system.output('cat /etc/kept'), 'kept');
    const [entry] = await system.journal('_PID=1', 'MESSAGE_ID=7d4958e842da4a758f6c1cdc7b36dcc5');
    assert.is(entry?.['SYSLOG_IDENTIFIER'], 'systemd');
    ({ pid, directories } = system);
    for (const directory of directories) assert.ok(existsSync(directory), directory);
  }
  await untilGone(pid, directories);
});

test('leaves nothing behind when its owner is killed', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', owner], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const said = await deadline(60_000, lines.next(), 'the boot');
  assert.not(said.done, 'the owner failed');
  const { pid, directories } = JSON.parse(String(said.value)) as Pick<
    BootedSystem,
    'pid' | 'directories'
  >;
  assert.ok(await isRunning(pid));
  child.kill('SIGKILL');
  await untilGone(pid, directories);
});

suiteOfSystem.run();
