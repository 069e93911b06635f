import { chmod, chown, mkdir, mkdtemp, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import {
  elevationReasons,
  parseSettings,
  parseSettingsJson,
  withoutMountsOf,
} from '../../../src/modules/create-options.ts';
import { createOptionsSchema } from '../../../src/modules/create-options-schema.ts';
import { compile } from '../../../src/service/schema-validator.ts';

const test = suite<{ root: string }>('create options');
const check = compile(createOptionsSchema);

function validate(value: unknown): readonly string[] {
  return check(value).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

test.before(async (context) => {
  context.root = await realpath(await mkdtemp(join(tmpdir(), 'iotedge-binds-')));
  await mkdir(join(context.root, 'data/inner'), { recursive: true });
  await symlink('/etc', join(context.root, 'data/link'));
});

test.after(async ({ root }) => {
  await rm(root, { recursive: true, force: true });
});

function refusal(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return isServiceError(error) ? error.code : String(error);
  }
}

async function elevated(
  options: Readonly<Record<string, unknown>>,
  allowed: readonly string[] = [],
) {
  const rules = { validate, network: 'azure-iot-edge', allowedBinds: allowed };
  return (await elevationReasons(options, rules)).length > 0;
}

test('reads settings as ModuleSpec has them', () => {
  const settings = parseSettingsJson(
    '{"image":"reg.example/a/b:1","createOptions":{"Env":["A=b"]},"auth":{"username":"u","password":"p"}}',
  );
  assert.is(settings.image, 'reg.example/a/b:1');
  assert.equal(settings.createOptions, { Env: ['A=b'] });
  assert.equal(settings.auth, { username: 'u', password: 'p' });
});

test('reads create options from their JSON text, and none as none', () => {
  assert.equal(parseSettings({ image: 'a', createOptions: '{"User":"x"}' }).createOptions, {
    User: 'x',
  });
  assert.equal(parseSettings({ image: 'a', createOptions: '' }).createOptions, {});
  assert.equal(parseSettings({ image: 'a' }).createOptions, {});
});

test('leaves out what is null', () => {
  const createOptions = { Cmd: null, HostConfig: { Binds: null, Memory: 1 } };
  assert.equal(parseSettings({ image: 'a', createOptions }).createOptions, {
    HostConfig: { Memory: 1 },
  });
});

test('says InvalidArgs for settings that it does not understand', () => {
  const wrong = [
    '',
    'null',
    '[]',
    '{}',
    '{"image":1}',
    '{"image":""}',
    '{"image":"a b"}',
    '{"image":"../containers/x"}',
    '{"image":"a//b"}',
    '{"image":"a?x"}',
    '{"image":"a","extra":1}',
    '{"image":"a","createOptions":[]}',
    '{"image":"a","createOptions":"["}',
    '{"image":"a","auth":"x"}',
    '{"image":"a","auth":{"token":"x"}}',
    '{"image":"a","auth":{"password":1}}',
  ];
  for (const text of wrong)
    assert.is(
      refusal(() => parseSettingsJson(text)),
      'InvalidArgs',
      text,
    );
});

test('keeps a password out of what it says about broken JSON', () => {
  try {
    parseSettingsJson('{"auth":{"password":"hunter2"');
    assert.unreachable();
  } catch (error) {
    assert.ok(error instanceof Error);
    assert.not.match(`${error.message} ${String(error.cause)}`, /hunter2/);
  }
});

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
  test(`finds nothing elevated in ${JSON.stringify(options)}`, async () => {
    assert.is(await elevated(options), false);
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
  test(`finds something elevated in ${JSON.stringify(options)}`, async () => {
    assert.is(await elevated(options), true);
  });
}

test('allows host paths below the allowed ones only, links resolved', async ({ root }) => {
  const bind = (path: string) => ({ HostConfig: { Binds: [`${path}:/x`] } });
  const mount = (path: string) => ({
    HostConfig: { Mounts: [{ Type: 'bind', Source: path, Target: '/x' }] },
  });
  const allowed = [join(root, 'data')];
  for (const make of [bind, mount]) {
    assert.is(await elevated(make(join(root, 'data')), allowed), false);
    assert.is(await elevated(make(join(root, 'data/inner/')), allowed), false);
    assert.is(await elevated(make(join(root, 'data/../data/inner')), allowed), false);
    assert.is(await elevated(make(root), allowed), true);
    assert.is(await elevated(make(`${root}/data2`), allowed), true);
    assert.is(await elevated(make(`${root}/data/../../etc`), allowed), true);
    assert.is(await elevated(make(join(root, 'data/link')), allowed), true);
    assert.is(await elevated(make(join(root, 'data/absent')), allowed), true);
  }
});

test('allows no host path in a directory that somebody else may change', async ({ root }) => {
  const bind = (path: string) => ({ HostConfig: { Binds: [`${path}:/x`] } });
  const outer = join(root, 'outer');
  const inner = join(outer, 'inner');
  await mkdir(join(inner, 'data'), { recursive: true });
  const allowed = [outer];
  assert.is(await elevated(bind(join(inner, 'data')), allowed), false);
  for (const directory of [outer, inner]) {
    for (const mode of [0o777, 0o1777, 0o775]) {
      await chmod(directory, mode);
      assert.is(await elevated(bind(join(inner, 'data')), allowed), true, mode.toString(8));
    }
    await chmod(directory, 0o755);
  }
  // What is mounted itself belongs to whom the module's files belong to.
  await chmod(join(inner, 'data'), 0o777);
  assert.is(await elevated(bind(join(inner, 'data')), allowed), false);
  if (process.getuid?.() !== 0) return;
  await chown(inner, 1234, 0);
  assert.is(await elevated(bind(join(inner, 'data')), allowed), true);
  assert.is(await elevated(bind(inner), allowed), false);
});

test('drops the mounts that the runtime makes itself', () => {
  const options = {
    User: 'x',
    HostConfig: {
      Memory: 1,
      Binds: ['/run/w.sock:/run/w.sock', '/elsewhere:/run/w.sock', 'data:/data'],
      Mounts: [
        { Type: 'bind', Source: '/run/w.sock', Target: '/y' },
        { Type: 'volume', Source: 'v', Target: '/v' },
      ],
    },
  };
  assert.equal(withoutMountsOf(options, new Set(['/run/w.sock'])), {
    User: 'x',
    HostConfig: {
      Memory: 1,
      Binds: ['data:/data'],
      Mounts: [{ Type: 'volume', Source: 'v', Target: '/v' }],
    },
  });
});

test('refuses create options that would cost too much to look at', () => {
  const codeFor = (options: string) => {
    try {
      parseSettingsJson(`{"image":"a","createOptions":${options}}`);
      return 'none';
    } catch (error) {
      return isServiceError(error) ? error.code : String(error);
    }
  };
  const members = Array.from({ length: 5000 }, (_, index) => `"k${index}":0`);
  assert.is(codeFor(`{${members.join()}}`), 'InvalidArgs');
  assert.is(codeFor(`{"HostConfig":${'['.repeat(40)}${']'.repeat(40)}}`), 'InvalidArgs');
  const deep = 200_000;
  assert.is(codeFor(`{"HostConfig":${'['.repeat(deep)}${']'.repeat(deep)}}`), 'InvalidArgs');
  assert.is(
    codeFor(`{"Env":["A=1"],"HostConfig":{"Binds":${'['.repeat(9)}${']'.repeat(9)}}}`),
    'none',
  );
});

test('refuses a variable without a name, and does not quote it', () => {
  for (const line of ['=hunter2', 'A=hunter2\\u0000']) {
    try {
      parseSettingsJson(`{"image":"a","createOptions":{"Env":["${line}"]}}`);
      assert.unreachable();
    } catch (error) {
      assert.ok(isServiceError(error, 'InvalidArgs'));
      assert.not.match(error.message, 'hunter2');
    }
  }
});

test.run();
