/** `iotedgectl modules logs`, with the services and an engine. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deadline, until } from '../../support/deadline.ts';
import { ModulesRig } from '../../support/engine/modules-rig.ts';
import { shellWord } from '../../support/shell-word.ts';

const test = suite<{ device: ModulesRig }>('iotedgectl modules logs');
const { image } = ModulesRig;
const hostile = String.raw`printf 'red \033[31mtext\033[0m \033[2J\n'`;
const script = `trap 'exit 0' TERM; ${hostile}; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done`;

test.before(async (context) => {
  const device = await ModulesRig.start({});
  context.device = device;
  const options = ['--image', image, '--pull', 'never', '--restart', 'never', '--start'];
  const command = ['--', 'sh', '-c', script];
  const { code, stderr } = await run(device, ['create', 'sensor', ...options, ...command]);
  assert.is(code, 0, stderr);
});
test.after(({ device }) => device[Symbol.asyncDispose]());

const program = ({ rig }: ModulesRig) => [
  `${rig.directory}/node`,
  `${rig.directory}/checkout/dist/bin/iotedgectl.cjs`,
  'modules',
];

function run(device: ModulesRig, args: readonly string[], user: 'operator' | 'alice' = 'operator') {
  const [node = '', ...words] = program(device);
  return device.rig.run(node, [...words, ...args], { user, timeoutMs: 60_000 });
}

/** A log that is followed, and what was printed so far. */
class Followed {
  readonly child: ChildProcess;
  out = '';
  err = '';

  constructor(device: ModulesRig, args: readonly string[]) {
    const [node = '', ...words] = program(device);
    this.child = device.rig.spawn(node, [...words, 'logs', '-f', ...args], { user: 'operator' });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.out += text));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.err += text));
  }

  async lines(count: number): Promise<void> {
    await until(30_000, 'lines', () => this.out.split('\n').length > count);
  }

  /** Its exit code. */
  async ended(): Promise<number | null> {
    if (this.child.exitCode === null) {
      await deadline(20_000, once(this.child, 'close'), 'the log to end');
    }
    return this.child.exitCode;
  }
}

test('follows new lines until it is interrupted, and ends without a word', async ({ device }) => {
  const log = new Followed(device, ['--tail', '1', 'sensor']);
  await log.lines(3);
  log.child.kill('SIGINT');
  assert.equal([await log.ended(), log.err], [0, '']);
  assert.match(log.out, /^line (\d+)\nline \d+\n/);
});

test('ends without a word when its reader has gone', async ({ device }) => {
  const words = [...program(device), 'logs', '-f', 'sensor'].map(shellWord).join(' ');
  // without --norc it may read a file of root's, when it takes its input for that of a remote shell
  const pipe = ['--norc', '-o', 'pipefail', '-c', `${words} | head -n 3`];
  const { code, stdout, stderr } = await device.rig.run('bash', pipe, { user: 'operator' });
  assert.equal([code, stderr], [0, '']);
  assert.is(stdout.split('\n').length, 4);
});

test('leaves nothing at a terminal but colours', async ({ device }) => {
  const command = [...program(device), 'logs', 'sensor'].map(shellWord).join(' ');
  const { stdout } = await device.rig.run('script', ['-qec', command, '/dev/null'], {
    user: 'operator',
  });
  assert.match(stdout, 'red \x1b[31mtext\x1b[0m \ufffd[2J\x1b[0m\r\n');
  assert.match((await run(device, ['logs', 'sensor'])).stdout, 'red \x1b[31mtext\x1b[0m \x1b[2J\n');
});

test('begins in 1970 for a number without a unit, with a warning', async ({ device }) => {
  const { code, stdout, stderr } = await run(device, ['logs', '--since', '3', 'sensor']);
  assert.is(code, 0);
  assert.match(stdout, 'red ');
  assert.match(stderr, /^warning: --since 3 is a UNIX timestamp /);
});

test('is for users whom polkit allows it', async ({ device }) => {
  const { code, stdout } = await run(device, ['logs', '-f', 'sensor'], 'alice');
  assert.equal([code, stdout], [3, '']);
});

test('ends with the module', async ({ device }) => {
  const log = new Followed(device, ['-t', '--json', 'sensor']);
  await log.lines(2);
  assert.is((await run(device, ['stop', 'sensor'])).code, 0);
  assert.equal([await log.ended(), log.err], [0, '']);
  for (const line of log.out.trim().split('\n')) {
    assert.equal(Object.keys(JSON.parse(line) as object), ['time', 'line']);
  }
});

test.run();
