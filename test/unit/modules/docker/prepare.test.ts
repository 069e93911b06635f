import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ModuleName, parseModuleName } from '../../../../src/ids.ts';
import type { AgentConfig } from '../../../../src/modules/config/agent-config.ts';
import {
  createOptionsValidator,
  elevationViolation,
  type Validate,
} from '../../../../src/modules/docker/confinement/policy-violation.ts';
import {
  memberObject,
  parseSettings,
} from '../../../../src/modules/docker/create-options/create-options.ts';
import type { JsonObject, Volume } from '../../../../src/modules/docker/engine/container-engine.ts';
import { createRequest, prepare } from '../../../../src/modules/docker/prepare.ts';
import type { ModuleSource } from '../../../../src/modules/module-source.ts';
import { via } from '../../../support/via.ts';

const test = suite('module preparation');
const sockets = { management: '/run/m.sock', workload: '/run/w.sock' };
const identity = {
  kind: 'module' as const,
  hub_hostname: 'myhub.azure-devices.net',
  gateway_hostname: 'parent.example',
  device_id: 'device-7',
  module_id: 'sensor',
  generation_id: '1',
  auth: 'sas' as const,
  key_id: 'k',
  derivation: Buffer.alloc(0),
  certificate_id: '',
};

interface Setting {
  readonly allowElevated?: boolean;
  /** Why the options need elevation. */
  readonly reason?: string;
  readonly validate?: Validate;
  readonly volume?: Volume;
  readonly identity?: Promise<typeof identity>;
  readonly hostname?: string;
  readonly cgroupVersion?: 1 | 2;
  readonly serverNames?: ReadonlyMap<ModuleName, readonly string[]>;
  /** Whether it was prepared before. */
  readonly isAgain?: boolean;
  /** The value that was authorized. */
  readonly elevated?: boolean;
}

/** A module and the dependencies of its preparation. */
function moduleWith(createOptions: object, setting: Setting) {
  const config = {
    agent: undefined,
    hostname: setting.hostname ?? 'device.example',
    serverNames: setting.serverNames ?? new Map(),
    allowElevated: setting.allowElevated ?? false,
    allowedBinds: ['/srv/data'],
    allowedPorts: [],
    allowedVolumes: [],
    connect: sockets,
    listen: sockets,
    network: { name: 'edge' },
  };
  const missing = () => Promise.reject(new Error('not called'));
  const findVolume = () => Promise.resolve(setting.volume);
  const parts = {
    config,
    engine: {
      system: missing,
      findVolume,
      createVolume: missing,
      findImage: missing,
      pull: missing,
      ensureNetwork: missing,
      create: missing,
      start: missing,
    },
    identities: { ensure: () => setting.identity ?? Promise.resolve(identity) },
    socketsPath: '/state/mnt',
    validate:
      setting.validate ??
      (() => (setting.reason === undefined ? [] : [elevationViolation(setting.reason)])),
    cgroupVersion: setting.cgroupVersion ?? 2,
    volumesSeen: new WeakSet<ModuleSource>(),
  };
  const settings = parseSettings({ image: 'a', createOptions });
  const source = {
    name: parseModuleName('sensor'),
    settings,
    env: {},
    elevated: setting.elevated ?? true,
  };
  return { parts, source };
}

async function refusalOf(createOptions: object, setting: Setting = {}): Promise<string> {
  const { parts, source } = moduleWith(createOptions, setting);
  if (setting.isAgain === true) await prepare(parts, source, via);
  const prepared = await prepare(parts, source, via);
  return prepared.refusal?.code ?? 'none';
}

/** The create request of a module that is not refused. */
async function requestOf(createOptions: object, setting: Setting = {}) {
  assert.is(await refusalOf(createOptions, setting), 'none');
  const { parts, source } = moduleWith(createOptions, setting);
  return createRequest(parts, source, identity);
}

async function hostConfig(HostConfig: object, allowElevated = false): Promise<object> {
  const { body } = await requestOf({ HostConfig }, { allowElevated });
  return body['HostConfig'] as object; // as the body has it
}

test('passes no restart policy to the engine, not even for an elevated module', async () => {
  for (const allowElevated of [false, true]) {
    const made = await hostConfig({ RestartPolicy: { Name: 'always' } }, allowElevated);
    assert.not.ok('RestartPolicy' in made);
  }
});

test('lets the engine create missing host paths only for an elevated module', async () => {
  const own = { Type: 'bind', Source: '/state/mnt/sensor', Target: '/run', ReadOnly: true };
  const host = { Type: 'bind', Source: '/srv/data', Target: '/d', ReadOnly: true };
  const Binds = ['/srv/data/:/d:ro'];
  assert.equal(await hostConfig({ Binds }), {
    NetworkMode: 'edge',
    Binds: [],
    Mounts: [host, own],
  });
  assert.equal(await hostConfig({ Binds }, true), { NetworkMode: 'edge', Binds, Mounts: [own] });
});

const masked = [
  '/proc/asound /proc/acpi /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list',
  '/proc/timer_stats /proc/sched_debug /proc/scsi /sys/firmware',
].flatMap((line) => line.split(' '));
const readOnly = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

test('leaves the defaults of an inspected engine to the engine that creates the container', async () => {
  const newer = ['/proc/interrupts', '/sys/devices/system/cpu/cpu12/thermal_throttle'];
  for (const MaskedPaths of [masked, [...masked, ...newer]]) {
    const inspected = { MaskedPaths, ReadonlyPaths: readOnly, Runtime: 'runc' };
    const made = await hostConfig(inspected);
    assert.equal(Object.keys(made), ['NetworkMode', 'Mounts']);
  }
  const kept = { MaskedPaths: masked, ReadonlyPaths: readOnly, Runtime: 'runc' };
  const own = { Type: 'bind', Source: '/state/mnt/sensor', Target: '/run', ReadOnly: true };
  const asWritten = { ...kept, NetworkMode: 'edge', Mounts: [own] };
  assert.equal(
    await hostConfig(kept, true),
    asWritten,
    'elevated modules get the options as written',
  );
});

test('refuses to unmask paths, even by a list that resembles the default one', async () => {
  const real = createOptionsValidator();
  const refusal = (HostConfig: object, cgroupVersion: 1 | 2 = 2) =>
    refusalOf({ HostConfig }, { validate: real, cgroupVersion });
  assert.is(await refusal({ MaskedPaths: masked.slice(1) }), 'AccessDenied');
  assert.is(await refusal({ MaskedPaths: [] }), 'AccessDenied');
  assert.is(await refusal({ MaskedPaths: [...masked, '/etc'] }), 'AccessDenied');
  assert.is(await refusal({ ReadonlyPaths: readOnly.slice(1) }), 'AccessDenied');
  assert.is(await refusal({ Runtime: 'kata' }), 'AccessDenied');
  assert.is(await refusal({ CgroupnsMode: 'host' }), 'AccessDenied');
  assert.is(await refusal({ CgroupnsMode: 'host' }, 1), 'none');
});

const aliased = (alias: string) => ({
  NetworkingConfig: { EndpointsConfig: { edge: { Aliases: [alias] } } },
});

test('refuses a name that the identity gives to a parent of the device', async () => {
  const refusal = (alias: string): Promise<string> => refusalOf(aliased(alias));
  assert.is(await refusal('thermometer'), 'none');
  for (const alias of ['myhub', 'parent', 'device-7', 'device', 'global']) {
    assert.is(await refusal(alias), 'AlreadyExists', alias);
  }
});

const outOfReach = (): Promise<never> => {
  const never = Promise.reject(new Error('out of reach'));
  never.catch(() => undefined);
  return never;
};

test('refuses what the configuration no longer lists, even if Identity is unreachable', async () => {
  const data = { HostConfig: { Binds: ['/srv/other:/d'] } };
  assert.is(await refusalOf(data, { identity: outOfReach() }), 'AccessDenied');
  assert.is(await refusalOf({}, { identity: outOfReach(), reason: 'no' }), 'AccessDenied');
  assert.is(await refusalOf(data, { allowElevated: true }), 'none');
  assert.is(await refusalOf(data, { allowElevated: true, elevated: false }), 'AccessDenied');
  const hostname = 'thermometer.example';
  const renamed = { identity: outOfReach(), hostname };
  assert.is(await refusalOf(aliased('thermometer'), renamed), 'AlreadyExists');
});

test('refuses a volume that the configuration no longer lists', async () => {
  const Binds = ['data:/d'];
  const own = { name: 'data', driver: 'local', options: new Map(), mountpoint: '/v' };
  const volume = (module: string) => ({
    ...own,
    labels: new Map([['org.iotedge.module', module]]),
  });
  const refusal = (one: Volume | undefined, more: Setting = {}) =>
    refusalOf({ HostConfig: { Binds } }, { ...(one && { volume: one }), ...more });
  assert.is(await refusal(volume('other'), { identity: outOfReach() }), 'AccessDenied');
  assert.is(await refusal(volume('other'), { isAgain: true }), 'AccessDenied');
  assert.is(await refusal(volume('sensor')), 'none');
  assert.is(await refusal(undefined), 'none');
  assert.is(await refusal(volume('other'), { allowElevated: true }), 'none');
});

test('refuses a name that the configuration gives to another module', async () => {
  const serverNames = new Map([[parseModuleName('broker'), ['mqtt']]]);
  assert.is(await refusalOf(aliased('mqtt'), { serverNames }), 'AlreadyExists');
  assert.is(await refusalOf(aliased('broker'), { serverNames }), 'AlreadyExists');
  assert.is(await refusalOf(aliased('kept'), { serverNames }), 'none');
});

test('uses one configuration, even if another one takes effect meanwhile', async () => {
  const { parts, source } = moduleWith({}, {});
  const networks: string[] = [];
  let { config } = parts;
  const reloaded = {
    ...parts,
    get config() {
      return config;
    },
    engine: {
      ...parts.engine,
      findImage: () => Promise.resolve({ id: 'sha256:1', digests: [] }),
      ensureNetwork: ({ name }: { readonly name: string }) => {
        networks.push(name);
        return Promise.resolve();
      },
      create: (_name: string, body: JsonObject) => {
        networks.push(String(memberObject(body, 'HostConfig')['NetworkMode']));
        return Promise.resolve();
      },
    },
    identities: {
      ensure: () => {
        config = { ...config, network: { name: 'other' } };
        return Promise.resolve(identity);
      },
    },
  };
  const spec = await prepare(reloaded, source, via);
  if (spec.refusal !== undefined) throw spec.refusal;
  const resolved = await spec.resolve({ refresh: false }, via.signal);
  await resolved?.create('sensor', via.signal);
  assert.equal(networks, ['edge', 'edge']);
});

test('refuses a container that removes itself, in any case of letters', async () => {
  const elevated = { allowElevated: true };
  for (const options of [
    { HostConfig: { AutoRemove: true } },
    { hostConfig: { AUTOREMOVE: true } },
    { HostConfig: {}, hostconfig: { autoRemove: true, Privileged: true } },
  ]) {
    assert.is(await refusalOf(options, elevated), 'InvalidArgs', JSON.stringify(options));
  }
  const harmless = { HostConfig: { AutoRemove: false, Privileged: true } };
  assert.is(await refusalOf(harmless, elevated), 'none');
});

test('limits how many containers are created and started at once, but not the agent', async () => {
  const { parts, source } = moduleWith({}, { allowElevated: true });
  const done: string[] = [];
  const note = (step: string) => () => Promise.resolve(void done.push(step));
  const engine = {
    ...parts.engine,
    findImage: () => Promise.resolve({ id: 'sha256:a', digests: [] }),
    ensureNetwork: note('network'),
    create: note('create'),
    start: note('start'),
  };
  const limiter = {
    run<T>(kind: string, step: () => Promise<T>): Promise<T> {
      done.push(`limited ${kind}`);
      return step();
    },
  };
  const stepsOf = async (agent: AgentConfig | undefined): Promise<readonly string[]> => {
    const config = { ...parts.config, agent };
    const spec = await prepare({ ...parts, config, engine, limiter }, source, via);
    if (spec.refusal !== undefined) throw spec.refusal;
    const resolved = await spec.resolve({ refresh: false }, via.signal);
    await resolved?.create('sensor', via.signal);
    await spec.start('sensor', via.signal);
    return done.splice(0);
  };
  const limited = ['limited create', 'network', 'create', 'limited start', 'start'];
  assert.equal(await stepsOf(undefined), limited);
  const unlimited = limited.filter((step) => !step.startsWith('limited'));
  assert.equal(
    await stepsOf({ name: source.name, type: 'docker', config: {}, env: {} }),
    unlimited,
  );
});

test.run();
