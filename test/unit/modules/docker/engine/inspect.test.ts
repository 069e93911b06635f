import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  containerOf,
  imageOf,
  renamedOf,
  systemOf,
  volumeOf,
} from '../../../../../src/modules/docker/engine/inspect.ts';

type Listed = Parameters<typeof renamedOf>[0][number];
type Inspected = Parameters<typeof containerOf>[0];

const test = suite('replies of the engine');
const owner = { 'net.azure-devices.edge.owner': 'Microsoft.Azure.Devices.Edge.Agent' };
const own = { ...owner, 'org.iotedge.module': 'sensor' };
const [startedAt, finishedAt] = ['2026-01-01T00:00:00.5Z', '2026-01-02T00:00:00Z'];

interface Inspection {
  readonly labels?: Readonly<Record<string, string>> | null;
  readonly state?: object;
  readonly policy?: object | null;
}

/** A container called `sensor`, as the engine shows it. */
function inspected({ labels = own, state = {}, policy = { Name: '' } }: Inspection) {
  return {
    Id: 'c1',
    Name: '/sensor',
    Image: 'sha256:1',
    Config: { Labels: labels },
    State: {
      Status: 'running',
      ExitCode: 3,
      StartedAt: startedAt,
      FinishedAt: '0001-01-01T00:00:00Z',
      ...state,
    },
    RestartCount: 2,
    HostConfig: { RestartPolicy: policy },
  } as unknown as Inspected; // all that is read
}

const instanceFrom = (inspection: Inspection) => containerOf(inspected(inspection));

test('identify our containers by their labels', () => {
  const module = (name: string) => ({ ...owner, 'org.iotedge.module': name });
  assert.is(instanceFrom({}).ours, true);
  assert.is(instanceFrom({ labels: module('sensor') }).ours, true);
  assert.is(instanceFrom({ labels: module('filter') }).ours, false);
  assert.is(instanceFrom({ labels: module('senso') }).ours, false);
  assert.is(instanceFrom({ labels: { 'org.iotedge.module': 'sensor' } }).ours, false);
  assert.is(instanceFrom({ labels: owner }).ours, false, 'it may be that of its image');
  assert.is(instanceFrom({ labels: { 'net.azure-devices.edge.owner': 'me' } }).ours, false);
  assert.is(instanceFrom({ labels: null }).ours, false);
  assert.is(instanceFrom({ labels: { ...owner, 'org.iotedge.config-digest': 'd' } }).digest, 'd');
  assert.is(instanceFrom({}).digest, '');
});

test('report whether the engine restarts a container itself', () => {
  for (const [name, starts] of [
    ['', false],
    ['no', false],
    ['always', true],
    ['unless-stopped', true],
    ['on-failure', true],
  ] as const)
    assert.is(instanceFrom({ policy: { Name: name } }).autoRestarts, starts, name);
  assert.is(instanceFrom({ policy: null }).autoRestarts, false);
});

test('report the state of a container and when it changed', () => {
  const started = new Date(startedAt);
  const ended = { exitCode: 3, startedAt: started, finishedAt: new Date(finishedAt) };
  for (const [Status, expected] of [
    ['created', { kind: 'created' }],
    ['running', { kind: 'running', startedAt: started }],
    ['paused', { kind: 'paused', startedAt: started }],
    ['restarting', { kind: 'restarting', ...ended }],
    ['exited', { kind: 'exited', ...ended }],
    ['removing', { kind: 'removing' }],
    ['dead', { kind: 'dead' }],
    ['stopping', { kind: 'unknown' }],
  ] as const)
    assert.equal(
      instanceFrom({ state: { Status, FinishedAt: finishedAt } }).state,
      expected,
      Status,
    );
  const never = instanceFrom({
    state: { Status: 'exited', StartedAt: '0001-01-01T00:00:00Z' },
  }).state;
  assert.equal(never, { kind: 'exited', exitCode: 3, startedAt: undefined, finishedAt: undefined });
  assert.is(instanceFrom({}).restartCount, 2);
  assert.is(instanceFrom({}).id, 'c1');
});

test('report a container as unhealthy while it runs, and not after', () => {
  const unhealthy = (Status: string, Health: object | undefined) =>
    instanceFrom({ state: { Status, Health } }).unhealthy;
  assert.is(unhealthy('running', { Status: 'unhealthy' }), true);
  assert.is(unhealthy('running', { Status: 'starting' }), false);
  assert.is(unhealthy('running', undefined), false);
  assert.is(unhealthy('exited', { Status: 'unhealthy' }), false);
});

test('name an image by its digests at every registry', () => {
  const RepoDigests = ['a@sha256:1', 'host:5000/b@sha256:2'];
  const image = { Id: 'sha256:0', RepoDigests } as Parameters<typeof imageOf>[0]; // all that is read
  assert.equal(imageOf(image), { id: 'sha256:0', digests: ['sha256:1', 'sha256:2'] });
  const { digests } = imageOf({ ...image, RepoDigests: null } as unknown as typeof image); // engines write null for none
  assert.equal(digests, []);
});

test('report what a volume is backed by, and its owner', () => {
  const raw = {
    Name: 'data',
    Driver: 'local',
    Options: { device: '/srv' },
    Labels: { a: 'b' },
    Mountpoint: '/v',
  };
  const volume = volumeOf(raw as unknown as Parameters<typeof volumeOf>[0]); // all that is read
  assert.is(volume.options.get('device'), '/srv');
  assert.is(volume.labels.get('a'), 'b');
  assert.equal([volume.name, volume.driver, volume.mountpoint], ['data', 'local', '/v']);
});

test('describe the machine, and omit what the engine omits', () => {
  const system = systemOf({
    OSType: 'linux',
    Architecture: 'x86_64',
    ServerVersion: '29',
    KernelVersion: '6.1',
    OperatingSystem: 'Debian',
    NCPU: 4,
    MemTotal: 1024,
    DockerRootDir: '/var/lib/docker',
    LoggingDriver: 'local',
  });
  assert.equal(system, {
    osType: 'linux',
    architecture: 'x86_64',
    serverVersion: '29',
    kernelVersion: '6.1',
    operatingSystem: 'Debian',
    cpus: 4,
    totalMemoryBytes: 1024,
    rootDirectory: '/var/lib/docker',
    logDriver: 'local',
  });
  assert.equal([systemOf(undefined).cpus, systemOf({}).rootDirectory], [0, '']);
});

function listed(id: string, module: string, ...names: readonly string[]): Listed {
  const Labels = module === '' ? {} : { 'org.iotedge.module': module };
  const Names = names.map((name) => `/${name}`);
  return { Id: id, Labels, Names } as unknown as Listed; // all that is read
}

const find = (found: readonly Listed[], knownId?: string) =>
  renamedOf(found, { name: 'sensor', knownId })?.id;

test('find a container that was renamed by its label, or by its id', () => {
  assert.is(find([listed('1', 'filter', 'filter'), listed('2', 'sensor', 'other')]), '2');
  assert.is(find([listed('1', '', 'other')], '1'), undefined, 'its image may have the other label');
});

test('find no renamed container where none has another name', () => {
  assert.is(find([listed('1', 'sensor', 'sensor'), listed('2', 'filter', 'other')]), undefined);
  assert.is(find([listed('1', 'sensor')]), undefined);
});

test('find no container that was created for another module, even if it had the name of this one', () => {
  assert.is(find([listed('1', 'filter', 'filter')], '1'), undefined);
  assert.is(find([listed('1', 'filter', 'other'), listed('2', 'sensor', 'other2')], '1'), '2');
});

test('find a container that was renamed among several only by its id', () => {
  const two = [listed('1', 'sensor', 'a'), listed('2', 'sensor', 'b')];
  assert.is(find(two), undefined);
  assert.is(find(two, '3'), undefined);
  assert.is(find(two, '2'), '2');
});

test.run();
