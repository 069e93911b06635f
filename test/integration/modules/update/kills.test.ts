/**
 * The service is killed right before a request to the engine that changes something, or when the engine has carried it
 * out: the next process brings the operation to an end. Of each operation a few requests, or with IOTEDGE_TEST_SOAK every
 * one, before and after.
 */
import { readFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Variant } from '../../../../src/dbus/wire/variant.ts';
import { until } from '../../../support/deadline.ts';
import { ModulesRig, type RawCall } from '../../../support/engine/modules-rig.ts';
import { KillingProxy } from '../../../support/engine/proxy/killing-proxy.ts';
import { isSoak } from '../../../support/property.ts';

const test = suite<{ device: ModulesRig; proxy: KillingProxy }>('operations of a killed service');
const { image } = ModulesRig;
const longMs = 60_000;
/** More requests than any operation needs. */
const most = 20;

/** Settings of a module whose health check runs this command. */
function options(check: string, seconds: string) {
  const healthcheck = { Test: ['CMD', check], Interval: 200_000_000, Retries: 1 };
  const createOptions = {
    Cmd: ['sleep', seconds],
    StopSignal: 'SIGKILL',
    Healthcheck: healthcheck,
  };
  return { image, imagePullPolicy: 'never', createOptions };
}

const first = options('true', '1000');

function call(config: object, wait: boolean): RawCall {
  const body = ['web', 'docker', JSON.stringify(config), {}, { wait: new Variant('b', wait) }];
  return { signature: 'sssa{ss}a{sv}', body };
}

const web: RawCall = { signature: 'sa{sv}', body: ['web', {}] };

/** An operation, what has to run when it has ended, and the requests of CI. */
interface Row {
  readonly name: string;
  readonly begin: readonly [string, RawCall];
  /** The seconds that the container sleeps, `` for none, and whether the module runs before. */
  readonly ends: readonly string[];
  /** By default the module runs before, and in the end. */
  readonly from?: 'nothing' | 'created';
  readonly to?: 'created';
  readonly sampled: readonly Kill[];
}

/** The number of a request, and whether the service is killed before or after it. */
type Kill = readonly [number, 'before' | 'after'];

const rows: readonly Row[] = [
  {
    name: 'create',
    begin: ['CreateModule', call(first, false)],
    ends: ['1000'],
    from: 'nothing',
    to: 'created',
    sampled: [[1, 'before']],
  },
  {
    name: 'start',
    begin: ['Start', web],
    ends: ['1000'],
    from: 'created',
    sampled: [
      [1, 'before'],
      [1, 'after'],
    ],
  },
  {
    name: 'good update',
    begin: ['UpdateModule', call(options('true', '2000'), false)],
    ends: ['2000'],
    sampled: [[5, 'before']],
  },
  {
    name: 'bad update',
    begin: ['UpdateModule', call(options('false', '3000'), false)],
    ends: ['1000'],
    sampled: [[7, 'before']],
  },
  { name: 'delete', begin: ['DeleteModule', web], ends: [''], sampled: [[1, 'before']] },
];

test.before(async (context) => {
  context.device = await ModulesRig.start({}, { socket: 'dockerd.sock' });
  const { machine, rig } = context.device;
  const { directory } = rig;
  context.proxy = await KillingProxy.start(`${directory}/engine/docker.sock`, machine.socketPath);
  await context.device.succeed('Describe', ['a{sv}', '0']);
});

test.after(async ({ device, proxy }) => {
  await proxy[Symbol.asyncDispose]();
  await device[Symbol.asyncDispose]();
});

/** What is persisted of the module, undefined when it does not exist. */
async function recordOf({
  rig,
}: ModulesRig): Promise<Readonly<Record<string, unknown>> | undefined> {
  const path = `${rig.stateDirectory('modules')}/modules/web.json`;
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const record: unknown = JSON.parse(text);
  return Object.fromEntries(Object.entries(record ?? {}));
}

/** What the module is in the end: the command of its container, `` when there is no module. */
async function outcome(device: ModulesRig): Promise<string> {
  const isEnded = async () => {
    const record = await recordOf(device);
    if (record === undefined) return true;
    // it may have been removed since
    const now: Readonly<Record<string, unknown>> = await device.module('web').catch(() => ({}));
    const { State } = now;
    const isAtRest = State === 'running' || State === 'created';
    // the process may still hold what its record does not have any more
    const isFree = (now['Operation'] ?? '') === '';
    return (
      isAtRest && isFree && record['update'] === undefined && record['operation'] === undefined
    );
  };
  await until(longMs, 'the end', isEnded);
  const [line, ...others] = await device.containers();
  assert.equal(others, [], 'one container');
  if (line === undefined) return '';
  const format = '{{.Name}} {{index .Config.Cmd 1}}';
  const [name, seconds = ''] = (
    await device.machine.docker('inspect', '--format', format, 'web')
  ).split(' ');
  assert.is(name, '/web');
  return seconds;
}

async function killedAt(
  { device, proxy }: { readonly device: ModulesRig; readonly proxy: KillingProxy },
  { begin: [member, request], ends, from, name, to }: Row,
  [n, when]: Kill,
): Promise<boolean> {
  if (from !== 'nothing') await device.invoke('CreateModule', call(first, true));
  if (from === undefined) await device.invoke('Start', web);
  proxy.arm(n, (await device.rig.processOf('modules')) ?? 0, when);
  // the service may be killed before it replies
  await device.invoke(member, request).catch(() => undefined);
  const isOver = async () => {
    const now: Readonly<Record<string, unknown>> = await device.module('web').catch(() => ({}));
    return !proxy.isKilling && (proxy.killed !== '' || (now['Operation'] ?? '') === '');
  };
  await until(longMs, 'the end, or the request', isOver);
  const { killed } = proxy;
  proxy.disarm();
  const startedAt = () =>
    device.machine.docker('inspect', '--format', '{{.State.StartedAt}}', 'web').catch(() => '');
  const startedBefore = await startedAt();
  await device.succeed('Describe', ['a{sv}', '0']);
  const where = `${name}, ${when} request ${n}: ${killed}`;
  const seconds = await outcome(device);
  assert.ok(ends.includes(seconds), `${where}: ${seconds}`);
  assert.is(await device.machine.docker('images', '-q', 'iotedge-parked'), '', where);
  if (seconds !== '') {
    await device.untilState('web', to ?? 'running');
    // a container that the engine has started is not started again
    const isStarted = name === 'start' && when === 'after';
    if (isStarted) assert.is(await startedAt(), startedBefore, where);
    await device.invoke('DeleteModule', web);
  }
  assert.equal(await device.containers(), [], where);
  return killed !== '';
}

for (const row of rows) {
  test(`end as demanded: ${row.name}`, async (context) => {
    if (!isSoak) {
      for (const kill of row.sampled) assert.ok(await killedAt(context, row, kill), row.name);
      return;
    }
    for (const when of ['before', 'after'] as const) {
      let n = 1;
      while (await killedAt(context, row, [n, when])) assert.ok(++n < most, 'an end');
      console.log(`${row.name}: killed ${when} ${n - 1} requests`);
    }
  });
}

test('are deleted although the engine does not remove a tag, which the next process does', async ({
  device,
  proxy,
}) => {
  const tags = () => device.machine.docker('images', '--format', '{{.Tag}}', 'iotedge-parked');
  await device.invoke('CreateModule', call(first, true));
  await device.invoke('UpdateModule', call(options('true', '2000'), true));
  assert.is(await tags(), 'web', 'it was never started, and may be bad');
  proxy.held = /^DELETE \/images\/iotedge-parked/;
  await device.invoke('DeleteModule', web);
  assert.equal([await device.containers(), await tags()], [[], 'web']);
  proxy.held = undefined;
  await device.rig.stop('modules');
  await device.succeed('Describe', ['a{sv}', '0']);
  await until(longMs, 'the end of the tag', async () => (await tags()) === '');
});

test.run();
