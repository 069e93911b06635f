import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { elevationReasons } from '../../../../src/modules/confinement/elevation.ts';
import { createOptionsSchema } from '../../../../src/modules/create-options-schema.ts';
import { compile } from '../../../../src/service/schema-validator.ts';

const test = suite('elevation of create options');
const check = compile(createOptionsSchema);

function validate(value: unknown): readonly string[] {
  return check(value).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

function elevated(options: Readonly<Record<string, unknown>>): boolean {
  const rules = {
    validate,
    network: 'azure-iot-edge',
    allowedBinds: ['/srv/data', '/run/app.sock'],
    allowedPorts: [443, 502],
  };
  return elevationReasons(options, rules).length > 0;
}

const harmless: readonly Readonly<Record<string, unknown>>[] = [
  {},
  {
    Env: ['A=b'],
    Cmd: ['x'],
    Entrypoint: 'y',
    User: '1000',
    WorkingDir: '/app',
    Labels: { a: 'b' },
  },
  {
    ExposedPorts: { '443/tcp': {} },
    HostConfig: { PortBindings: { '443/tcp': [{ HostPort: '443' }] } },
  },
  {
    HostConfig: {
      Memory: 1 << 26,
      NanoCpus: 1,
      PidsLimit: 10,
      Ulimits: [{ Name: 'nofile', Soft: 1, Hard: 1 }],
    },
  },
  {
    HostConfig: {
      RestartPolicy: { Name: 'always' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m' } },
    },
  },
  { HostConfig: { Binds: ['data:/data', 'data:/ro:ro', '/anonymous'] } },
  {
    HostConfig: {
      Mounts: [
        { Type: 'volume', Source: 'v', Target: '/v' },
        { Type: 'tmpfs', Target: '/t' },
      ],
    },
  },
  {
    HostConfig: {
      Privileged: false,
      CapAdd: [],
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
    },
  },
  { HostConfig: { NetworkMode: 'bridge' } },
  { HostConfig: { NetworkMode: 'azure-iot-edge' } },
  { NetworkingConfig: { EndpointsConfig: { 'azure-iot-edge': { Aliases: ['hub'] } } } },
];

for (const options of harmless) {
  test(`finds nothing elevated in ${JSON.stringify(options)}`, () => {
    assert.is(elevated(options), false);
  });
}

const harmful: readonly Readonly<Record<string, unknown>>[] = [
  { HostConfig: { Privileged: true } },
  { HostConfig: { privileged: true } },
  { hostconfig: { Privileged: true } },
  { hostConfig: { Memory: 1 } },
  { HostConfig: { CapAdd: ['SYS_ADMIN'] } },
  { HostConfig: { Devices: [{ PathOnHost: '/dev/mem' }] } },
  { HostConfig: { DeviceRequests: [{}] } },
  { HostConfig: { DeviceCgroupRules: ['a *:* rwm'] } },
  { HostConfig: { NetworkMode: 'host' } },
  { HostConfig: { NetworkMode: 'container:other' } },
  { HostConfig: { PidMode: 'host' } },
  { HostConfig: { IpcMode: 'host' } },
  { HostConfig: { UTSMode: 'host' } },
  { HostConfig: { UsernsMode: 'host' } },
  { HostConfig: { CgroupnsMode: 'host' } },
  { HostConfig: { CgroupParent: '/' } },
  { HostConfig: { Runtime: 'other' } },
  { HostConfig: { VolumesFrom: ['other'] } },
  { HostConfig: { VolumeDriver: 'x' } },
  { HostConfig: { SecurityOpt: ['seccomp=unconfined'] } },
  { HostConfig: { SecurityOpt: ['no-new-privileges:false'] } },
  { HostConfig: { Sysctls: { 'kernel.core_pattern': '|/x' } } },
  { HostConfig: { OomScoreAdj: -1000 } },
  { HostConfig: { MaskedPaths: [] } },
  { HostConfig: { LogConfig: { Type: 'syslog', Config: {} } } },
  { HostConfig: { LogConfig: { Type: 'journald' } } },
  { HostConfig: { Binds: ['/:/host'] } },
  { HostConfig: { Binds: ['/etc:/etc:ro'] } },
  { HostConfig: { Binds: ['data:/data:rshared'] } },
  { HostConfig: { Binds: ['../x:/data'] } },
  { HostConfig: { Binds: ['a:b:c:d'] } },
  { HostConfig: { Mounts: [{ Type: 'bind', Source: '/etc', Target: '/x' }] } },
  { HostConfig: { Mounts: [{ Type: 'npipe', Source: 'x', Target: '/x' }] } },
  {
    HostConfig: {
      Mounts: [
        { Type: 'volume', Target: '/x', VolumeOptions: { DriverConfig: { Name: 'local' } } },
      ],
    },
  },
  { NetworkingConfig: { EndpointsConfig: { host: {} } } },
  { NetworkingConfig: { EndpointsConfig: { 'azure-iot-edge': { IPAMConfig: {} } } } },
  { Unheard: 1 },
  { User: 1 },
  JSON.parse('{"__proto__":{"HostConfig":{}}}') as Readonly<Record<string, unknown>>, // an own key
];

for (const options of harmful) {
  test(`finds something elevated in ${JSON.stringify(options)}`, () => {
    assert.is(elevated(options), true);
  });
}

const binds = (...Binds: readonly string[]) => ({ HostConfig: { Binds } });
const mounts = (...Mounts: readonly object[]) => ({ HostConfig: { Mounts } });
const bindMount = (Source: string, more: object = {}) =>
  mounts({ Type: 'bind', Source, Target: '/x', ...more });

test('allows the host paths that are listed, and nothing below or beside them', () => {
  for (const path of ['/srv/data', '/srv/data/', '/srv//data', '/srv/x/../data', '/run/app.sock']) {
    assert.is(elevated(binds(`${path}:/x`)), false, path);
    assert.is(elevated(bindMount(path)), false, path);
  }
  const others = ['/srv', '/', '/srv/data/sub', '/srv/data/../..', '/srv/data2', '/srv/data/.x'];
  for (const path of [...others, '//', '/SRV/data', 'srv/data', './srv/data']) {
    assert.is(elevated(binds(`${path}:/x`)), true, path);
    assert.is(elevated(bindMount(path)), true, path);
  }
});

test('allows a host path the options ro and rw alone, one at a time', () => {
  for (const options of ['', ':ro', ':rw']) {
    assert.is(elevated(binds(`/srv/data:/x${options}`)), false, options);
  }
  const others = [
    'z',
    'Z',
    'shared',
    'rshared',
    'slave',
    'rslave',
    'private',
    'rprivate',
    'nocopy',
  ];
  const more = ['ro,z', 'rw,rshared', 'ro,rw', 'RO', 'cached', 'U', 'exec', '', 'ro:x', 'ro,'];
  for (const options of [...others, ...more]) {
    assert.is(elevated(binds(`/srv/data:/x:${options}`)), true, options);
  }
});

test('allows a volume no options that reach the host', () => {
  for (const options of ['', ':ro', ':rw', ':nocopy', ':ro,nocopy']) {
    assert.is(elevated(binds(`data:/x${options}`)), false, options);
  }
  for (const options of ['z', 'Z', 'rshared', 'ro,z', 'volume-driver=x']) {
    assert.is(elevated(binds(`data:/x:${options}`)), true, options);
  }
  assert.is(elevated(binds('::/x')), true);
  assert.is(elevated(binds(':/x')), true);
});

test('allows a mount its own type and the propagation that it has anyway', () => {
  for (const Propagation of ['', 'rprivate']) {
    assert.is(elevated(bindMount('/srv/data', { BindOptions: { Propagation } })), false);
  }
  for (const BindOptions of [
    { Propagation: 'rshared' },
    { Propagation: 'shared' },
    { Propagation: 'slave' },
    { CreateMountpoint: true },
    { ReadOnlyForceRecursive: true },
  ]) {
    assert.is(elevated(bindMount('/srv/data', { BindOptions })), true, JSON.stringify(BindOptions));
  }
  const volume = (more: object) => mounts({ Type: 'volume', Target: '/x', ...more });
  assert.is(elevated(volume({ Source: 'data', VolumeOptions: { Labels: { a: 'b' } } })), false);
  assert.is(elevated(volume({ Source: '/srv/data' })), true);
  assert.is(elevated(volume({ Source: '/' })), true);
  assert.is(elevated(volume({ VolumeOptions: { Labels: { 'org.iotedge.module': 'x' } } })), true);
  assert.is(elevated(volume({ VolumeOptions: { Subpath: '../..' } })), true);
  const DriverConfig = { Options: { o: 'bind', device: '/' } };
  assert.is(elevated(volume({ Source: 'data', VolumeOptions: { DriverConfig } })), true);
  assert.is(elevated(mounts({ Type: 'bind', Source: 'data', Target: '/x' })), true);
  assert.is(elevated(mounts({ Type: 'tmpfs', Source: '/etc', Target: '/x' })), true);
  assert.is(elevated(mounts({ Type: 'image', Source: 'a', Target: '/x' })), true);
  assert.is(elevated(mounts({ Type: 'cluster', Source: 'a', Target: '/x' })), true);
});

const port = (HostPort: unknown, key = '80/tcp') => ({
  HostConfig: { PortBindings: { [key]: [{ HostPort }] } },
});

test('allows the host ports that are listed, and those that nobody trusts by their number', () => {
  const fine = [
    '443',
    '0443',
    '502',
    '1024',
    '8883',
    '65535',
    '',
    '0',
    '0-0',
    '5671-5680',
    '443-443',
  ];
  for (const one of fine) assert.is(elevated(port(one)), false, one);
  const privileged = ['22', '53', '80', '022', '00080', '1023', '1'];
  const ranges = ['80-90', '443-444', '1000-2000', '442-443', '0-1024', '1-65535'];
  const wrong = [
    'x',
    '-1',
    '+22',
    ' 22',
    '22 ',
    '0x16',
    '65536',
    '99999',
    '90-80',
    '80-',
    '1e1',
    22,
  ];
  for (const one of [...privileged, ...ranges, ...wrong]) {
    for (const key of ['80/tcp', '53/udp', '7/sctp', '80']) {
      assert.is(elevated(port(one, key)), true, String(one));
    }
  }
  const second = {
    HostConfig: { PortBindings: { '1/tcp': [{ HostPort: '443' }, { HostPort: '22' }] } },
  };
  assert.is(elevated(second), true);
  assert.is(elevated({ HostConfig: { PublishAllPorts: true } }), false);
});

test.run();
