/** The verbs about modules, with the services and an engine. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deadline, until } from '../../support/deadline.ts';
import { ModulesRig } from '../../support/engine/modules-rig.ts';
import { silentRegistry } from '../../support/engine/silent-registry.ts';
import type { RigUser } from '../../support/rig/rig-users.ts';

const test = suite<{ device: ModulesRig }>('verbs of iotedgectl about modules');
const { image } = ModulesRig;
const local = ['--image', image, '--pull', 'never'];
const shell = ['--', 'sh', '-c'];

test.before(async (context) => {
  const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
  context.device = await ModulesRig.start({
    agent: { config: { image, createOptions, imagePullPolicy: 'never' } },
  });
  await context.device.agentRuns();
});
test.after(({ device }) => device[Symbol.asyncDispose]());

const program = ({ rig }: ModulesRig) => [
  `${rig.directory}/node`,
  `${rig.directory}/checkout/dist/bin/iotedgectl.cjs`,
  'modules',
];

interface Options {
  readonly user?: RigUser;
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** The output of a verb. */
async function run(
  device: ModulesRig,
  args: readonly string[],
  { user = 'operator', ...options }: Options = {},
) {
  const [node = '', ...words] = program(device);
  return device.rig.run(node, [...words, ...args], { user, timeoutMs: 60_000, ...options });
}

/** The output of a verb that succeeds. */
async function succeed(device: ModulesRig, args: readonly string[], options?: Options) {
  const { code, stdout, stderr } = await run(device, args, options);
  assert.is(code, 0, stderr);
  return { stdout, stderr };
}

test('create, start, show, stop and delete a module, and read its log', async ({ device }) => {
  const script = 'echo "colour $COLOUR"; echo warning >&2; sleep 1000';
  const created = await succeed(
    device,
    ['create', 'sensor', ...local, '-e', 'COLOUR', ...shell, script],
    { environment: { COLOUR: 'vermilion' } },
  );
  assert.is(created.stdout, 'sensor: created\n');
  assert.match(created.stderr, /^sensor: creating$/m);
  assert.match((await succeed(device, ['list'])).stdout, /^sensor +Created +localhost/m);
  assert.is((await succeed(device, ['start', 'sensor'])).stdout, 'sensor: started\n');
  assert.match((await succeed(device, ['list'])).stdout, /^sensor +Up \w/m);
  const log = (...options: readonly string[]) => succeed(device, ['logs', ...options, 'sensor']);
  await until(30_000, 'the log', async () => (await log()).stdout.includes('warning'));
  // the engine orders the two streams as it happens to read them
  assert.equal((await log()).stdout.split('\n').toSorted(), ['', 'colour vermilion', 'warning']);
  assert.is((await log('--tail', '1')).stdout.split('\n').length, 2);
  assert.is((await log('--until', '1h')).stdout, '');
  assert.match(
    (await log('-t', '--since', '1h')).stdout,
    /^\d{4}-\d\d-\d\dT\S+Z colour vermilion$/m,
  );
  const shown = await succeed(device, ['show', 'sensor']);
  assert.match(shown.stdout, /^ +state: running$/m);
  assert.match(shown.stdout, /^ +started: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/m);
  assert.match(shown.stdout, '"imagePullPolicy": "never"');
  const json = JSON.parse((await succeed(device, ['show', 'sensor', '--json'])).stdout) as object;
  assert.equal(Object.keys(json), ['properties', 'config']);
  assert.not.match(shown.stdout + JSON.stringify(json), 'vermilion');
  const stopped = await succeed(device, ['stop', '-t', '0', 'sensor', '--json']);
  const { sensor } = JSON.parse(stopped.stdout) as { sensor: Record<string, unknown> };
  assert.is(sensor['State'], 'stopped');
  assert.match((await succeed(device, ['list'])).stdout, /^sensor +Exited \(137\)/m);
  const unasked = await run(device, ['delete', 'sensor']);
  assert.is(unasked.code, 2);
  assert.match(unasked.stderr, 'add --yes');
  const deleted = await succeed(device, ['delete', '--yes', '--identity', 'sensor']);
  assert.is(deleted.stdout, 'sensor: deleted\n');
  assert.not.match((await succeed(device, ['list'])).stdout, 'sensor');
});

test('print the command of the engine, and nothing else', async ({ device }) => {
  const config = ['--config-dir', `${device.rig.directory}/config`];
  const { stdout } = await succeed(device, ['exec-command', 'edgeAgent', ...config]);
  const socket = `unix://${device.rig.directory}/engine/docker.sock`;
  assert.is(stdout, `docker -H ${socket} exec -it edgeAgent sh\n`);
  const words = ['exec-command', ...config, 'edgeAgent', '--', 'echo', "it's here"];
  const given = (await succeed(device, words)).stdout.trim();
  // without a terminal there is none for the module
  const { stdout: out } = await device.rig.run('sh', ['-c', given.replace(' -it ', ' ')]);
  assert.is(out, "it's here\n");
});

test('name what there is when there is no such module', async ({ device }) => {
  for (const verb of ['show', 'start', 'stop', 'restart', 'logs', 'exec-command', 'delete']) {
    const { code, stderr } = await run(device, [
      verb,
      'nosuch',
      ...(verb === 'delete' ? ['--yes'] : []),
    ]);
    assert.is(code, 1, verb);
    assert.match(stderr, 'no module "nosuch"; there is: edgeAgent');
  }
  const both = await run(device, ['start', 'nosuch', 'edgeAgent']);
  assert.equal([both.code, both.stdout], [1, 'edgeAgent: started\n']);
});

test('exit with 2 for wrong arguments, before anything is asked of the service', async ({
  device,
}) => {
  for (const args of [
    ['show'],
    ['show', '$edgeAgent'],
    ['start', '../x'],
    ['create', 'x1'],
    ['create', 'x1', '--image', 'a', '--port', 'x'],
    ['create', 'x1', '--image', 'a', '--start', '--no-wait'],
    ['create', 'x1', '--file', '/nowhere'],
    ['stop', 'edgeAgent', '-t', 'x'],
    ['logs', 'edgeAgent', '--tail', 'x'],
    ['logs', 'edgeAgent', '--since', 'yesterday'],
    ['stats', '$edgeAgent'],
  ]) {
    const { code, stderr } = await run(device, args);
    assert.is(code, 2, `${args.join(' ')}: ${stderr}`);
  }
});

test('exit with 3 for a user whom polkit allows nothing, who still sees the state', async ({
  device,
}) => {
  const denied = [
    ['create', 'other', '--image', image],
    ['stop', 'edgeAgent'],
    ['restart', 'edgeAgent', '--no-wait'],
    ['delete', 'edgeAgent', '--yes'],
    ['logs', 'edgeAgent'],
    ['cancel', 'edgeAgent'],
  ];
  for (const args of denied) {
    const { code, stderr } = await run(device, args, { user: 'alice' });
    assert.is(code, 3, args.join(' '));
    assert.match(stderr, 'is not allowed');
  }
  const shown = await succeed(device, ['show', 'edgeAgent'], { user: 'alice' });
  assert.match(shown.stdout, /^ +state: running$/m);
  assert.match(shown.stdout, 'you may not change modules');
});

test('say why a module was not created, and leave nothing of it', async ({ device }) => {
  const failed = await run(device, ['create', 'absent', '--image', '127.0.0.1:9/x:1']);
  assert.equal([failed.code, failed.stdout], [1, '']);
  assert.match(failed.stderr, 'module "absent" was not created: pulling "127.0.0.1:9/x:1"');
  assert.match(failed.stderr, 'connection refused');
  assert.not.match((await succeed(device, ['list'])).stdout, 'absent');
});

test('say why a module was not started, and not to look into the log of one that never ran', async ({
  device,
}) => {
  const { code, stdout, stderr } = await run(device, [
    'create',
    'quick',
    ...local,
    '--start',
    '--',
    '/absent-program',
  ]);
  assert.equal([code, stdout], [1, 'quick: created\n']);
  assert.match(stderr, /module "quick" was not started: .*absent-program/);
  assert.match(stderr, /; the runtime tries again by itself$/m);
  assert.match((await succeed(device, ['show', 'quick'])).stdout, /^ +problem: .*absent-program/m);
  await succeed(device, ['delete', '--yes', 'quick']);
});

test('create a module from a file, with a password that is shown nowhere', async ({ device }) => {
  const createOptions = JSON.stringify({ Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' });
  const settings = { image, createOptions };
  const module = { settings, env: { A: { value: 'hunter1' } }, imagePullPolicy: 'never' };
  const manifest = {
    modulesContent: { $edgeAgent: { 'properties.desired': { modules: { filed: module } } } },
  };
  const login = ['--username', 'user', '--password-file', `${device.rig.directory}/password`];
  await writeFile(`${device.rig.directory}/password`, 'hunter2\n');
  const created = await succeed(device, ['create', 'filed', '-f', '-', '--start', ...login], {
    input: JSON.stringify(manifest),
  });
  assert.is(created.stdout, 'filed: created\nfiled: started\n');
  const shown = await succeed(device, ['show', 'filed']);
  assert.match(shown.stdout, '"username": "user"');
  const all = `${shown.stdout}${(await succeed(device, ['show', 'filed', '--json'])).stdout}`;
  for (const secret of ['hunter1', 'hunter2']) {
    assert.not.match(all + (await device.rig.log('modules')), secret);
  }
  await succeed(device, ['delete', '--yes', 'filed']);
});

test('leave an operation to the runtime when they are interrupted', async ({ device }) => {
  using _ = await silentRegistry(device.machine, 5003);
  const [node = '', ...words] = program(device);
  const create = [...words, 'create', 'slow', '--image', '127.0.0.1:5003/slow:1'];
  const child = device.rig.spawn(node, create, { user: 'operator' });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const pulls = () => stderr.split('slow: pulling 0%').length - 1;
  await until(30_000, 'the pull', () => pulls() === 1);
  // the next process of the service goes on with it, and the command with that
  await device.rig.stop('modules');
  const isPulled = async () => /^slow +Pulling 0%/m.test((await succeed(device, ['list'])).stdout);
  await until(30_000, 'the pull of the next process', isPulled);
  assert.is(child.exitCode, null);
  child.kill('SIGINT');
  await deadline(10_000, once(child, 'close'), 'the command');
  assert.is(child.exitCode, 130);
  assert.match(stderr, 'slow: CreateModule goes on in the Module Runtime');
  assert.is(pulls(), 1, stderr);
  assert.ok(await isPulled());
  assert.is((await succeed(device, ['cancel', 'slow'])).stdout, 'slow: cancelled\n');
  await until(30_000, 'the end of it', async () => {
    return !(await succeed(device, ['list'])).stdout.includes('slow');
  });
});

test('rewrite one line at a terminal', async ({ device }) => {
  const command = [...program(device), 'create', 'shown', ...local].join(' ');
  const { code, stdout } = await device.rig.run('script', ['-qec', command, '/dev/null'], {
    user: 'operator',
  });
  assert.is(code, 0, stdout);
  assert.match(stdout, '\r\x1b[Kshown: creating');
  assert.ok(stdout.endsWith('\r\x1b[Kshown: created\r\n'), stdout);
  await succeed(device, ['delete', '--yes', 'shown']);
});

test('show what modules use', async ({ device }) => {
  const { stdout } = await succeed(device, ['stats', '--no-stream']);
  assert.match(stdout, /^NAME +CPU % +MEM USAGE \/ LIMIT +MEM % +NET I\/O +BLOCK I\/O +PIDS$/m);
  assert.match(stdout, /^edgeAgent +[\d.]+% +[\d.]+\w+ \/ [\d.]+\w+ .* 1$/m);
  const json = JSON.parse((await succeed(device, ['stats', '--json'])).stdout) as readonly object[];
  assert.is(json.length, 1);
});

test('say what is wrong while the engine is away, and wait for it no longer than is sensible', async ({
  device,
}) => {
  await device.machine.stopDaemon();
  await device.untilState('edgeAgent', 'unknown');
  // a module may notice it earlier
  await device.untilManager(({ Engine }) => JSON.stringify(Engine).includes('"value":false'));
  const stats = await run(device, ['stats']);
  assert.is(stats.code, 4);
  assert.match(stats.stderr, 'cannot be reached');
  const { code, stderr } = await run(device, ['restart', 'edgeAgent']);
  assert.is(code, 4);
  assert.match(stderr, /waiting: .*cannot be reached/);
  assert.match(stderr, 'module "edgeAgent" is not yet restarted');
  await device.machine.startDaemon();
  await device.untilModule('edgeAgent', ({ Operation }) => Operation === '');
});

test.run();
