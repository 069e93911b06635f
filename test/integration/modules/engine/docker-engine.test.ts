import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseNetwork } from '../../../../src/modules/config/network-config.ts';
import { DockerEngine } from '../../../../src/modules/docker/engine/docker-engine.ts';
import {
  digestLabel,
  moduleLabel,
  owner,
  ownerLabel,
} from '../../../../src/modules/docker/labels.ts';
import type { InstanceEnd, InstanceState } from '../../../../src/modules/supervisor/module-type.ts';
import { deadline, soon, untilFound } from '../../../support/deadline.ts';
import { importBusybox } from '../../../support/engine/images.ts';
import { PrivateEngine } from '../../../support/engine/private-engine.ts';
import { failureOf } from '../../../support/failure.ts';

interface Context {
  machine: PrivateEngine;
  engine: DockerEngine;
}

const test = suite<Context>('docker engine');
const image = 'localhost/busybox:1';
const labels = { [ownerLabel]: owner, [digestLabel]: 'abc', [moduleLabel]: 'lifecycle' };

async function untilState(engine: DockerEngine, name: string, kind: InstanceState['kind']) {
  let found: string | undefined;
  return untilFound(
    20_000,
    () => `${name} to be ${kind}: it is ${found}`,
    async () => {
      const state = (await engine.inspect(name, soon()))?.state;
      found = state?.kind;
      return found === kind ? state : undefined;
    },
  );
}

function shell(script: string): Record<string, unknown> {
  return { Image: image, Cmd: ['sh', '-c', script], Labels: labels };
}

test.before(async (context) => {
  context.machine = await PrivateEngine.start();
  context.engine = new DockerEngine(context.machine.socketPath);
  await importBusybox(context.machine, image);
});

test.after(async (context) => {
  await context.machine[Symbol.asyncDispose]();
});

test('returns its name and version', async ({ engine }) => {
  const { name, version } = await engine.version(soon());
  assert.ok(name.length > 0);
  assert.match(version, /^[0-9]+\./);
});

test('removes the only tag of an image that a container uses, and leaves the image to it', async ({
  engine,
  machine,
}) => {
  await engine.create('tagged', shell('sleep 1000'), soon());
  await machine.docker('commit', 'tagged', 'localhost/other:1');
  await engine.create('user', { ...shell('sleep 1000'), Image: 'localhost/other:1' }, soon());
  const id = (await engine.inspect('user', soon()))?.id ?? '';
  const tag = { repository: 'iotedge-parked', tag: 'user' };
  await engine.tagImageOf(id, tag, soon());
  await machine.docker('rmi', 'localhost/other:1');
  await engine.untag(tag, soon());
  assert.is(await machine.docker('images', '-q', 'iotedge-parked'), '');
  await engine.start('user', soon());
  await untilState(engine, 'user', 'running');
  for (const name of ['user', 'tagged']) await engine.remove(name, soon());
  await engine.untag(tag, soon());
});

test('describes the machine', async ({ engine }) => {
  const system = await engine.system(soon());
  assert.is(system.osType, 'linux');
  assert.ok(system.cpus > 0);
  assert.ok(system.totalMemoryBytes > 1 << 20);
});

test('finds an image, and returns undefined if there is none', async ({ engine }) => {
  assert.match((await engine.findImage(image, soon()))?.id ?? '', /^sha256:/);
  assert.is(await engine.findImage('localhost/absent', soon()), undefined);
});

test('throws Unavailable when a registry cannot be reached', async ({ engine }) => {
  assert.is(await failureOf(engine.pull('127.0.0.1:9/absent:1', {}, soon())), 'Unavailable');
});

test('creates a network with the address ranges of modules.yaml', async ({ engine, machine }) => {
  const config = [
    { subnet: '172.29.0.0/16', gateway: '172.29.0.1', ip_range: '172.29.10.0/24' },
    { subnet: 'fd00:29::/64', gateway: 'fd00:29::1' },
  ];
  const report = (_path: unknown, message: string): never => {
    throw new Error(message);
  };
  const network = parseNetwork({ name: 'ranges', ipv6: true, ipam: { config } }, { report });
  await engine.ensureNetwork(network, soon());
  const format = '{{json .IPAM.Config}}';
  const shown: unknown = JSON.parse(
    await machine.docker('network', 'inspect', '--format', format, 'ranges'),
  );
  assert.equal(shown, [
    { Subnet: '172.29.0.0/16', IPRange: '172.29.10.0/24', Gateway: '172.29.0.1' },
    { Subnet: 'fd00:29::/64', Gateway: 'fd00:29::1' },
  ]);
});

test('reports an existing network that is not as configured, and leaves it alone', async (context) => {
  const { machine } = context;
  await machine.docker('network', 'create', '--subnet', '172.31.0.0/16', 'existing');
  const id = () => machine.docker('network', 'inspect', '--format', '{{.Id}}', 'existing');
  const before = await id();
  const problems: string[] = [];
  const onNetwork = (problem: string) => void problems.push(problem);
  const engine = new DockerEngine(machine.socketPath, { onNetwork });
  for (const Subnet of ['172.30.0.0/16', '172.31.0.0/16']) {
    await engine.ensureNetwork({ name: 'existing', ipam: { Config: [{ Subnet }] } }, soon());
  }
  await engine.ensureNetwork({ name: 'existing', ipv6: true }, soon());
  assert.match(problems[0] ?? '', '172.30.0.0/16');
  assert.is(problems[1], '');
  assert.match(problems[2] ?? '', 'ipv6');
  assert.is(await id(), before);
});

test('creates a network once, also for concurrent requests', async ({ engine, machine }) => {
  const ensure = () => engine.ensureNetwork({ name: 'azure-iot-edge' }, soon());
  await Promise.all([ensure(), ensure(), ensure()]);
  await ensure();
  const names = await machine.docker('network', 'ls', '--format', '{{.Name}}');
  assert.is(names.split('\n').filter((name) => name === 'azure-iot-edge').length, 1);
});

test('creates, starts, stops and removes a container', async ({ engine }) => {
  const name = 'lifecycle';
  await engine.create(name, shell('sleep 100'), soon());
  const created = await engine.inspect(name, soon());
  assert.is(created?.state.kind, 'created');
  assert.is(created?.digest, 'abc');
  assert.is(created?.ours, true);
  await engine.start(name, soon());
  await engine.start(name, soon());
  await untilState(engine, name, 'running');
  await engine.stop(name, 0, soon());
  await engine.stop(name, 0, soon());
  const state = await untilState(engine, name, 'exited');
  assert.is(state.kind === 'exited' && state.exitCode, 137);
  await engine.remove(name, soon());
  await engine.remove(name, soon());
  assert.is(await engine.inspect(name, soon()), undefined);
});

test('throws AlreadyExists for a name that is taken', async ({ engine }) => {
  await engine.create('taken', shell('true'), soon());
  assert.is(await failureOf(engine.create('taken', shell('true'), soon())), 'AlreadyExists');
});

test('throws NotFound for an image that it does not have', async ({ engine }) => {
  const body = { Image: 'localhost/absent:1', Labels: labels };
  assert.is(await failureOf(engine.create('imageless', body, soon())), 'NotFound');
});

test('throws InvalidArgs for a request that the engine refuses', async ({ engine }) => {
  const body = { Image: image, HostConfig: { Memory: 1 } };
  assert.is(await failureOf(engine.create('refused', body, soon())), 'InvalidArgs');
});

test('recognizes a foreign container', async ({ engine, machine }) => {
  await machine.docker('create', '--name', 'foreign', image);
  assert.is((await engine.inspect('foreign', soon()))?.ours, false);
});

test('emits the events of a container', async ({ engine }) => {
  const stop = new AbortController();
  const events = await engine.listen(AbortSignal.any([stop.signal, soon()]));
  await engine.create('watched', shell('true'), soon());
  for await (const name of events) if (name === 'watched') break;
  stop.abort();
});

test('passes on the end of a container before its name', async ({ engine, machine }) => {
  const stop = new AbortController();
  const ends: InstanceEnd[] = [];
  const signal = AbortSignal.any([stop.signal, soon()]);
  const events = await engine.listen(signal, (end) => void ends.push(end));
  await engine.create('ending', shell('exit 7'), soon());
  await engine.start('ending', soon());
  const passed = async (): Promise<boolean> => {
    for await (const name of events) if (name === 'ending' && ends.length > 0) return true;
    return false;
  };
  assert.is(await deadline(10_000, passed(), 'the end').finally(() => stop.abort()), true);
  const id = await machine.docker('inspect', '-f', '{{.Id}}', 'ending');
  const [{ at, ...end } = { at: undefined }] = ends;
  assert.equal(end, { name: 'ending', id, exitCode: 7 });
  const ageMs = Date.now() - (at?.getTime() ?? 0);
  assert.ok(ageMs >= 0 && ageMs < 600_000, String(ageMs));
});

test('throws Cancelled when the signal is aborted', async ({ engine }) => {
  const stop = new AbortController();
  const asking = failureOf(engine.version(stop.signal));
  stop.abort();
  assert.is(await asking, 'Cancelled');
});

test('throws Unavailable without an engine', async () => {
  const absent = new DockerEngine('/nonexistent/docker.sock');
  assert.is(await failureOf(absent.version(soon())), 'Unavailable');
  assert.is(await failureOf(absent.inspect('any', soon())), 'Unavailable');
});

test('ends its events with Unavailable when the engine stops, and works when it is back', async (context) => {
  const { engine, machine } = context;
  const events = await engine.listen(soon());
  const listening = failureOf(
    (async () => {
      for await (const name of events) void name;
    })(),
  );
  await machine.stopDaemon();
  assert.is(await listening, 'Unavailable');
  assert.is(await failureOf(engine.version(soon())), 'Unavailable');
  await machine.startDaemon();
  assert.match((await engine.version(soon())).version, /^[0-9]/);
});

test.run();
