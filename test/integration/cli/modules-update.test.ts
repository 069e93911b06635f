/** `iotedgectl modules update`, with the services and an engine. */
import { writeFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ModulesRig } from '../../support/engine/modules-rig.ts';

const test = suite<{ device: ModulesRig }>('iotedgectl modules update');
const { image } = ModulesRig;
const file = (rig: ModulesRig['rig']) => `${rig.directory}/sensor.json`;

/** Good as soon as its health check has run: the tests do not wait for the 10 s of those that have none. */
const healthy = { Test: ['CMD', 'true'], Interval: 1e9 };

test.before(async (context) => {
  const device = await ModulesRig.start({});
  context.device = device;
  const document = {
    image,
    imagePullPolicy: 'never',
    createOptions: { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL', Healthcheck: healthy },
    env: { FIRST: '1', SECOND: 'hunter2' },
  };
  await writeFile(file(device.rig), JSON.stringify(document));
  const { code, stderr } = await run(device, [
    'create',
    'sensor',
    '-f',
    file(device.rig),
    '--start',
  ]);
  assert.is(code, 0, stderr);
});
test.after(({ device }) => device[Symbol.asyncDispose]());

function run(
  { rig }: ModulesRig,
  args: readonly string[],
  user: 'operator' | 'alice' = 'operator',
) {
  const program = `${rig.directory}/checkout/dist/bin/iotedgectl.cjs`;
  const words = [program, 'modules', ...args];
  return rig.run(`${rig.directory}/node`, words, { user, timeoutMs: 60_000 });
}

const inspect = ({ machine }: ModulesRig, format: string) =>
  machine.docker('inspect', '--format', format, 'sensor');

test('changes what an option names, and nothing else', async ({ device }) => {
  const before = await inspect(device, '{{.Id}}');
  const args = ['update', 'sensor', '--env', 'SECOND=2', '--env', 'THIRD=3', '--restart', 'never'];
  const { code, stdout, stderr } = await run(device, args);
  assert.is(code, 0, stderr);
  assert.is(stdout, 'sensor: updated\n');
  assert.not.equal(await inspect(device, '{{.Id}}'), before);
  const env = await inspect(device, '{{.Config.Env}}');
  for (const variable of ['FIRST=1', 'SECOND=2', 'THIRD=3']) assert.match(env, variable);
  assert.match(await inspect(device, '{{.Config.Cmd}}'), 'sleep 1000');
  assert.match((await run(device, ['show', 'sensor'])).stdout, '"restart_policy": "never"');
});

test('makes a module what a file says', async ({ device }) => {
  const args = ['update', 'sensor', '-f', file(device.rig), '--json'];
  const { code, stdout, stderr } = await run(device, args);
  assert.equal([code, stderr], [0, '']);
  assert.is((JSON.parse(stdout) as Record<string, unknown>)['State'], 'running');
  const env = await inspect(device, '{{.Config.Env}}');
  assert.match(env, 'SECOND=hunter2');
  assert.not.match(env, 'THIRD');
});

test('says why the new container was no good, and that the old one runs again', async ({
  device,
}) => {
  const before = await inspect(device, '{{.Id}}');
  const args = ['update', 'sensor', '--', 'sh', '-c', 'exit 3'];
  const { code, stdout, stderr } = await run(device, args);
  assert.equal([code, stdout], [1, '']);
  assert.match(stderr, /module "sensor" was not updated: .*3/);
  assert.match(stderr, 'the module is as it was, running');
  assert.is(await inspect(device, '{{.Id}}'), before);
  assert.match((await run(device, ['list'])).stdout, /^sensor +Up /m);
});

test('warns of a registry that does not answer, when the image is there', async ({ device }) => {
  const args = ['update', 'sensor', '--pull', 'on-create', '--env', 'SECOND=4'];
  const { code, stdout, stderr } = await run(device, args);
  assert.equal([code, stdout], [0, 'sensor: updated\n'], stderr);
  assert.match(stderr, /^warning: module "sensor": the image .* is used: pulling /m);
  assert.match(await inspect(device, '{{.Config.Env}}'), 'SECOND=4');
});

test('pulls an image for later, or says why not', async ({ device }) => {
  const prepare = (...args: readonly string[]) =>
    run(device, ['update', 'sensor', '--prepare', ...args]);
  const before = await inspect(device, '{{.Id}}');
  assert.is((await prepare('--image', image, '--pull', 'never')).code, 0);
  const { code, stderr } = await prepare('--image', 'localhost/absent:1', '--pull', 'never');
  assert.is(code, 1);
  assert.match(stderr, 'localhost/absent:1');
  assert.is(await inspect(device, '{{.Id}}'), before);
});

test('says why an image was not pulled, and leaves the module as it is', async ({ device }) => {
  const before = await inspect(device, '{{.Id}}');
  const args = ['update', 'sensor', '--image', '127.0.0.1:9/x:1'];
  const { code, stdout, stderr } = await run(device, args);
  assert.equal([code, stdout], [1, ''], stderr);
  assert.match(stderr, 'module "sensor" was not updated: pulling "127.0.0.1:9/x:1"');
  assert.match(stderr, 'connection refused');
  const prepared = await run(device, [...args, '--prepare']);
  assert.equal([prepared.code, prepared.stdout], [1, ''], 'the code of the update');
  assert.match(prepared.stderr, 'connection refused');
  assert.is(await inspect(device, '{{.Id}}'), before);
});

test('does nothing without a change, for an unknown module, or for a user who may not', async ({
  device,
}) => {
  assert.is((await run(device, ['update', 'sensor'])).code, 2);
  assert.is((await run(device, ['update', 'nosuch', '--image', image])).code, 1);
  const denied = await run(device, ['update', 'sensor', '--image', image], 'alice');
  assert.is(denied.code, 3);
});

test.run();
