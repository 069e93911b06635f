import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deadline } from '../support/deadline.ts';
import { runnable } from '../support/not-runnable.ts';

const test = suite('demonstration');
const engineTest = runnable('container-engine', test);
const checkout = join(import.meta.dirname, '../../..');
const start = join(checkout, 'test/demo/start.mjs');

interface Outcome {
  readonly code: number | null;
  readonly output: string;
}

/** How the demonstration is stopped: a signal to its parent process, once it has printed a text. */
interface Interruption {
  readonly at: string;
  /** `bus` kills its bus instead. */
  readonly signal: NodeJS.Signals | 'bus';
}

/** Runs the demonstration to its end. */
function demonstrate(command: readonly string[], interruption?: Interruption): Promise<Outcome> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { cwd: checkout, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const collect = (text: string) => {
    output += text;
    if (interruption === undefined || child.killed || !output.includes(interruption.at)) return;
    if (interruption.signal === 'bus') killBus(directoryIn(output));
    else child.kill(interruption.signal);
  };
  child.stdout.setEncoding('utf8').on('data', collect);
  child.stderr.setEncoding('utf8').on('data', collect);
  const ended = new Promise<Outcome>((resolve) => {
    child.on('close', (code) => resolve({ code, output }));
  });
  return deadline(240_000, ended, 'the demonstration');
}

/** Kills the bus whose configuration is in a directory. */
function killBus(directory: string): void {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const words = commandOf(pid);
    if (
      words[0]?.endsWith('dbus-daemon') === true &&
      words.some((word) => word.startsWith(directory))
    ) {
      process.kill(Number(pid), 'SIGKILL');
    }
  }
}

function commandOf(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return []; // it has ended meanwhile
  }
}

/** The directory of a demonstration, parsed from its output. */
function directoryIn(output: string): string {
  const [, directory] = /everything else in (\/\S+)/.exec(output) ?? [];
  if (directory === undefined) throw new Error(`it does not say where everything is: ${output}`);
  return directory;
}

engineTest('goes through all seven steps and leaves nothing behind', async () => {
  const { code, output } = await demonstrate([process.execPath, start, '--once']);
  assert.is(code, 0, output);
  for (let step = 1; step <= 7; step += 1) assert.match(output, new RegExp(`^${step}  `, 'm'));
  assert.match(output, 'over TLSv1.2');
  assert.match(output, 'over TLSv1.3');
  assert.match(output, 'edgeAgent: all is well');
  const config = `--config-dir ${directoryIn(output)}/config`;
  for (const verb of ['check', 'modules exec-command edgeAgent'])
    assert.match(output, ` ${verb} ${config}\n`);
  assert.not.ok(existsSync(directoryIn(output)));
});

test('cleans up when it is interrupted', async () => {
  const interruption: Interruption = { at: '\n3  ', signal: 'SIGINT' };
  const { code, output } = await demonstrate([process.execPath, start], interruption);
  assert.is(code, 0, output);
  assert.match(output, 'Nothing is left behind.');
  assert.not.ok(existsSync(directoryIn(output)));
});

test('cleans up when the npm that runs it is killed', async () => {
  const { output } = await demonstrate(['npm', 'start'], { at: '\n3  ', signal: 'SIGKILL' });
  assert.match(output, 'Nothing is left behind.');
  assert.not.ok(existsSync(directoryIn(output)));
});

test('refuses unknown options before it does anything', async () => {
  const { code, output } = await demonstrate([process.execPath, start, '--onse']);
  assert.is(code, 2);
  assert.match(output, 'unknown: --onse');
  assert.match(output, 'usage: npm start');
  assert.not.match(output, 'Set-up');
});

test('reports why no bus can run', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'iotedge-no-bus-'));
  try {
    const bus = join(folder, 'dbus-daemon');
    await writeFile(bus, '#!/bin/sh\necho no bus today >&2\nexit 3\n');
    await chmod(bus, 0o755);
    const command = [
      'env',
      `PATH=${folder}:${process.env['PATH'] ?? ''}`,
      process.execPath,
      start,
      '--once',
    ];
    const { code, output } = await demonstrate(command);
    assert.is(code, 1);
    assert.ok(output.includes('dbus-daemon has ended (exit code 3): no bus today'), output);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('fails when its bus dies', async () => {
  const { code, output } = await demonstrate([process.execPath, start], {
    at: 'until you press Ctrl-C',
    signal: 'bus',
  });
  assert.is(code, 1);
  assert.match(output, 'the bus has ended unexpectedly');
  assert.not.ok(existsSync(directoryIn(output)));
});

test('explains how to start it when it is not started as root', async () => {
  // its path may not be readable by other users: root pretends to be another user
  const program = `process.getuid = () => 65534; await import(${JSON.stringify(start)})`;
  const args = ['--input-type=module', '--eval', program];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const code = await new Promise((resolve) => {
    child.on('close', resolve);
  });
  assert.is(code, 2);
  assert.match(output, 'sudo env "PATH=$PATH" npm start');
});

test.run();
