import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseModuleName } from '../../../src/ids.ts';
import { parseSettings } from '../../../src/modules/create-options.ts';
import { prepare } from '../../../src/modules/prepare.ts';

const test = suite('preparation of a module');
const sockets = { management: '/run/m.sock', workload: '/run/w.sock' };
const identity = {
  kind: 'module',
  hub_hostname: 'myhub.azure-devices.net',
  gateway_hostname: 'parent.example',
  device_id: 'device-7',
  module_id: 'sensor',
  generation_id: '1',
  auth: 'sas',
  key_id: 'k',
  derivation: Buffer.alloc(0),
  certificate_id: '',
};

function prepared(createOptions: object, allowElevated = false) {
  const config = {
    agent: undefined,
    hostname: 'device.example',
    serverNames: new Map(),
    allowElevated,
    allowedBinds: ['/srv/data'],
    allowedPorts: [],
    allowedVolumes: [],
    connect: sockets,
    listen: sockets,
    network: { name: 'edge' },
  };
  const missing = () => Promise.reject(new Error('not asked'));
  const parts = {
    config,
    engine: { system: missing, findVolume: missing, createVolume: missing },
    identities: { ensure: () => Promise.resolve(identity) },
    socketsPath: '/state/mnt',
    validate: () => [],
  };
  const settings = parseSettings({ image: 'a', createOptions });
  const source = { name: parseModuleName('sensor'), settings, env: {}, elevated: true };
  return prepare(parts, source, new AbortController().signal);
}

async function hostConfig(HostConfig: object, allowElevated = false): Promise<object> {
  const { body } = await prepared({ HostConfig }, allowElevated);
  return body['HostConfig'] as object; // as made
}

test('gives the engine no restart policy, for one that is elevated neither', async () => {
  for (const allowElevated of [false, true]) {
    const made = await hostConfig({ RestartPolicy: { Name: 'always' } }, allowElevated);
    assert.not.ok('RestartPolicy' in made);
  }
});

test('has the engine make no host path, unless the module is elevated', async () => {
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

test('tells of a name that is taken by what the identity says is above the device', async () => {
  const refusal = async (alias: string): Promise<string> => {
    const EndpointsConfig = { edge: { Aliases: [alias] } };
    const found = await prepared({ NetworkingConfig: { EndpointsConfig } });
    return found.refusal?.code ?? 'none';
  };
  assert.is(await refusal('thermometer'), 'none');
  for (const alias of ['myhub', 'parent', 'device-7', 'device', 'global']) {
    assert.is(await refusal(alias), 'AlreadyExists', alias);
  }
});

test.run();
