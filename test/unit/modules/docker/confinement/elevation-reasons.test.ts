import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../../../src/errors.ts';
import { elevationReasons } from '../../../../../src/modules/docker/confinement/elevation-reasons.ts';
import { createOptionsValidator } from '../../../../../src/modules/docker/confinement/policy-violation.ts';

const test = suite('elevation of create options');
const validate = createOptionsValidator();

/** Text of the mistake in create options, or whether they are elevated. */
function judge(options: Readonly<Record<string, unknown>>): string {
  const rules = {
    validate,
    network: 'azure-iot-edge',
    allowedBinds: ['/srv/data', '/run/app.sock'],
    allowedPorts: [443, 502],
  };
  try {
    return elevationReasons(options, rules).length > 0 ? 'elevated' : 'harmless';
  } catch (error) {
    assert.ok(isServiceError(error, 'InvalidArgs'), String(error));
    return error.message;
  }
}

function elevated(options: Readonly<Record<string, unknown>>): boolean {
  return judge(options) !== 'harmless';
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
    assert.is(judge(options), 'harmless');
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
  { HostConfig: { OomKillDisable: true } },
  { HostConfig: { Ulimits: [{ Name: 'memlock', Soft: -1, Hard: -1 }] } },
  { HostConfig: { Links: ['other:alias'] } },
  { HostConfig: { ReadonlyPaths: [] } },
  { HostConfig: { AutoRemove: true } },
  {
    Labels: {},
    HostConfig: { LogConfig: { Type: 'json-file', Config: { 'syslog-address': 'x' } } },
  },
  { HostConfig: { MaskedPaths: [] } },
  { HostConfig: { LogConfig: { Type: 'syslog', Config: {} } } },
  { HostConfig: { LogConfig: { Type: 'journald' } } },
  { HostConfig: { Binds: ['/:/host'] } },
  { HostConfig: { Binds: ['/etc:/etc:ro'] } },
  { HostConfig: { Binds: ['data:/data:rshared'] } },
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
  {
    NetworkingConfig: {
      EndpointsConfig: { 'azure-iot-edge': { IPAMConfig: { IPv4Address: '10.0.0.1' } } },
    },
  },
];

for (const options of harmful) {
  test(`finds something elevated in ${JSON.stringify(options)}`, () => {
    assert.is(judge(options), 'elevated');
  });
}

// values that the engine's clients write for options that are not set
const defaults: Readonly<Record<string, unknown>> = {
  AutoRemove: false,
  BlkioWeightDevice: [],
  Cgroup: '',
  CgroupParent: '',
  CgroupnsMode: 'private',
  ConsoleSize: [0, 0],
  ContainerIDFile: '',
  CpuQuota: -1,
  CpuRealtimePeriod: 0,
  DeviceCgroupRules: [],
  DeviceRequests: [],
  GroupAdd: [],
  IpcMode: '',
  Isolation: '',
  KernelMemory: 0,
  Links: [],
  MemorySwappiness: -1,
  OomKillDisable: false,
  OomScoreAdj: 0,
  PidMode: '',
  PidsLimit: -1,
  Runtime: '',
  StorageOpt: {},
  Sysctls: {},
  UTSMode: '',
  UsernsMode: '',
  VolumeDriver: '',
  VolumesFrom: [],
};

test('treats a default of the engine as not set', () => {
  for (const [key, value] of Object.entries(defaults)) {
    assert.is(judge({ HostConfig: { [key]: value } }), 'harmless', key);
  }
  assert.is(judge({ HostConfig: defaults }), 'harmless');
  for (const options of [{ OnBuild: [] }, { Shell: [] }, { MacAddress: '' }, { Name: '' }]) {
    assert.is(judge(options), 'harmless', JSON.stringify(options));
  }
  const endpoint = { Aliases: ['a'], IPAMConfig: {}, Links: [], MacAddress: '', DriverOpts: {} };
  const EndpointsConfig = { 'azure-iot-edge': endpoint };
  assert.is(judge({ NetworkingConfig: { EndpointsConfig } }), 'harmless');
  const bind = { Type: 'bind', Source: '/srv/data', Target: '/x' };
  const volume = { Type: 'volume', Source: '', Target: '/x' };
  for (const mount of [
    { ...bind, BindOptions: { Propagation: '', NonRecursive: false, CreateMountpoint: false } },
    { ...volume, VolumeOptions: { DriverConfig: { Name: '', Options: {} }, Subpath: '' } },
    { Type: 'tmpfs', Source: '', Target: '/x', TmpfsOptions: { Options: [] } },
  ]) {
    assert.is(judge({ HostConfig: { Mounts: [mount] } }), 'harmless', JSON.stringify(mount));
  }
});

test('reports where a mistake is, and does not treat it as elevation', () => {
  const mistakes: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
    [{ Hostname: 5 }, 'createOptions.Hostname must be a text'],
    [{ User: 1 }, 'createOptions.User'],
    [{ Unheard: 1 }, 'createOptions.Unheard'],
    [{ HostConfg: {} }, 'createOptions.HostConfg'],
    [{ HostConfig: { Hostname: 'x' } }, 'createOptions.HostConfig.Hostname'],
    [{ HostConfig: [] }, 'createOptions.HostConfig'],
    [{ HostConfig: { Privileged: 'yes' } }, 'createOptions.HostConfig.Privileged'],
    [{ HostConfig: { Privileged: true, Memory: 'much' } }, 'createOptions.HostConfig.Memory'],
    [{ HostConfig: { Memory: -5 } }, 'createOptions.HostConfig.Memory'],
    [{ HostConfig: { PidMode: 1 } }, 'createOptions.HostConfig.PidMode'],
    [{ HostConfig: { CapAdd: 'SYS_ADMIN' } }, 'createOptions.HostConfig.CapAdd'],
    [{ HostConfig: { PortBindings: { 'a/tcp': [] } } }, 'PortBindings."a/tcp"'],
    [{ Cmd: 5 }, 'createOptions.Cmd'],
    [{ Env: [5] }, 'createOptions.Env[0]'],
    [{ Labels: { 'DB_PW=hunter2': 5 } }, 'createOptions.Labels'],
    [binds('../x:/data'), '../x:/data'],
    [binds('a:b:c:d'), 'a:b:c:d'],
    [binds('/srv/data:'), '/srv/data:'],
    [bindMount('data'), '"data"'],
    [mounts({ Type: 'bind', Target: '/x' }), 'absolute path'],
    [mounts({ Type: 'bind', Source: '/srv/data' }), 'Mounts[0]'],
    [mounts({ Type: 'bnd', Source: '/srv/data', Target: '/x' }), 'Mounts[0].Type'],
    [mounts({ Type: 'volume', Source: '/srv/data', Target: '/x' }), '"/srv/data"'],
    [mounts({ Type: 'tmpfs', Source: '/etc', Target: '/x' }), '"/etc"'],
    [port('65536'), '"65536"'],
    [port('90-80'), '"90-80"'],
    [port(22), 'HostConfig.PortBindings."80/tcp"[0].HostPort must be a text'],
    [JSON.parse('{"__proto__":{"HostConfig":{}}}'), '__proto__'], // an own key
  ];
  for (const [options, where] of mistakes) {
    const found = judge(options);
    assert.not.ok(['harmless', 'elevated'].includes(found), JSON.stringify(options));
    assert.ok(found.includes(where), `${JSON.stringify(options)}: ${found}`);
    assert.not.match(found, 'hunter2');
  }
});

test('folds the case of member names as the engine does', () => {
  const spelled = [
    'privileged',
    'PRIVILEGED',
    'Privi\u006ceged',
    'ma\u017fkedPaths',
    'UT\u017fMode',
  ];
  for (const key of spelled) {
    const value = /mode/i.test(key) ? 'host' : key.startsWith('ma') ? [] : true;
    assert.is(judge({ HostConfig: { [key]: value } }), 'elevated', key);
  }
});

function binds(...Binds: readonly string[]) {
  return { HostConfig: { Binds } };
}

function mounts(...Mounts: readonly object[]) {
  return { HostConfig: { Mounts } };
}

function bindMount(Source: string, more: object = {}) {
  return mounts({ Type: 'bind', Source, Target: '/x', ...more });
}

function port(HostPort: unknown, key = '80/tcp') {
  return { HostConfig: { PortBindings: { [key]: [{ HostPort }] } } };
}

test('allows the listed host paths, and nothing below or beside them', () => {
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

test('allows a host path only the options ro and rw, one at a time', () => {
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

test('allows a mount the options of its own type and the default propagation', () => {
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

test('allows the listed host ports, and unprivileged ones', () => {
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
