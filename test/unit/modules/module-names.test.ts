import { hostname } from 'node:os';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseModuleName } from '../../../src/ids.ts';
import {
  generatedHostname,
  mayBeCertified,
  refuseNames,
  refuseTaken,
  refuseUnusable,
} from '../../../src/modules/module-names.ts';
import { codeOf } from '../../support/failure.ts';

const test = suite('module names');
const config = {
  agent: {
    name: parseModuleName('keeper'),
    type: 'docker' as const,
    config: {},
    env: {},
    elevated: false,
  },
  hostname: 'Gateway.example',
  serverNames: new Map([[parseModuleName('broker'), ['gateway.example', 'mqtt', '10.0.0.7']]]),
};
const upstream = {
  hub_hostname: 'myhub.azure-devices.net:443',
  gateway_hostname: 'parent.example:8443',
  device_id: 'device-7',
};

function source(name: string, aliases: readonly string[] = [], more: object = {}) {
  const EndpointsConfig = { 'azure-iot-edge': { Aliases: aliases } };
  const createOptions = { NetworkingConfig: { EndpointsConfig }, ...more };
  return {
    name: parseModuleName(name),
    settings: { image: 'a', createOptions, auth: undefined },
    env: {},
    elevated: false,
  };
}

const others = [source('sensor', ['thermometer']), source('web', [], { Hostname: 'front' })];

function clash(one: Parameters<typeof refuseNames>[0]): string {
  return codeOf(() => {
    refuseNames(one, config, upstream);
    refuseTaken(one, others, config);
  });
}

/** Results for a name, for each way in which a module can get it. */
function everyWay(name: string): readonly string[] {
  const [first = '', ...domain] = name.split('.');
  const filter = source('filter');
  return [
    clash(source('filter', ['sieve', name])),
    clash(source('filter', [], { Hostname: name })),
    clash({ ...filter, settings: { ...filter.settings, aliases: [name] } }),
    ...(domain.length > 0
      ? [clash(source('filter', [], { Hostname: first, Domainname: domain.join('.') }))]
      : []),
  ];
}

test('accepts unused names', () => {
  assert.is(
    clash(source('filter', ['filter', 'sieve', 'edge', 'my_alias', 'a-b', 'x1'])),
    'no failure',
  );
  assert.is(clash(source('filter', [], { Hostname: 'filter' })), 'no failure');
  assert.is(clash(source('filter', [], { Hostname: '', Domainname: '' })), 'no failure');
  assert.is(clash(source('sensor', ['thermometer', 'sensor'])), 'no failure');
  assert.is(clash(source('edgeHub')), 'no failure');
  assert.is(clash(source('keeper', ['keeper'])), 'no failure');
});

test('refuses the name of another module, case-insensitively', () => {
  for (const name of [
    'Sensor',
    'THERMOMETER',
    'Front',
    'edgehub',
    'EdgeAgent',
    'Keeper',
    'Broker',
    'mqtt',
  ])
    assert.is(clash(source(name)), 'AlreadyExists', name);
});

test('refuses a name of another module as alias or host name', () => {
  const names = ['sensor', 'Thermometer', 'front', 'edgeHub', 'edgeagent', 'keeper', 'broker'];
  for (const alias of [...names, 'MQTT']) {
    assert.equal(everyWay(alias), Array(3).fill('AlreadyExists'), alias);
  }
  // the other spelling that a resolver accepts
  for (const alias of ['sensor.', 'edgeHub.']) {
    assert.is.not(clash(source('filter', [alias])), 'no failure');
    assert.is.not(clash(source('filter', [], { Hostname: alias })), 'no failure');
  }
});

test('refuses names of the device and of its parents', () => {
  const labels = ['myhub', 'MyHub', 'parent', 'gateway', 'global', 'device-7', 'localhost'];
  for (const name of labels) {
    assert.equal(everyWay(name), Array(3).fill('AlreadyExists'), name);
    assert.is(clash(source(name)), 'AlreadyExists', name);
  }
  const hosts = [
    'myhub.azure-devices.net',
    'Parent.Example',
    'gateway.example',
    'global.azure-devices-provisioning.net',
  ];
  for (const name of hosts) {
    for (const spelling of [name, name.toUpperCase(), `${name}.`, `${name}..`]) {
      for (const code of everyWay(spelling)) assert.is.not(code, 'no failure', spelling);
    }
    assert.is(clash(source(name)), 'AlreadyExists', name);
    assert.is.not(clash(source(`${name}.`)), 'no failure', name);
  }
});

test('refuses external names and addresses that are not assigned to the module', () => {
  const names = [
    'acr.example.com',
    '10.0.0.7',
    '127.0.0.1',
    '2130706433',
    '0x7f000001',
    '127.1',
    '::1',
  ];
  for (const name of [...names, '*', '*.example', 'a b', 'a'.repeat(64), '-a', 'a-', 'ä']) {
    assert.is(clash(source('filter', [name])), 'AccessDenied', name);
    assert.is(clash(source('filter', [], { Hostname: name })), 'AccessDenied', name);
  }
  for (const name of ['acr.example.com', '10.0.0.8', 'a.b']) {
    assert.is(clash(source(name)), 'AccessDenied', name);
  }
});

test('recognizes a name in its non-ASCII and its xn-- form', () => {
  const above = { hub_hostname: 'h.example', gateway_hostname: 'Gerät.local', device_id: 'größe' };
  const code = (name: string) => codeOf(() => refuseNames(source('filter', [name]), config, above));
  assert.is(code('xn--gert-noa'), 'AlreadyExists');
  assert.is(code('XN--gert-NOA'), 'AlreadyExists');
  assert.is(code('xn--gre-6ka8i'), 'AlreadyExists');
  assert.is(code('xn--gert-loa'), 'no failure');
});

test('refuses an unassigned qualified name of host and domain', () => {
  assert.is(clash(source('filter', [], { Domainname: 'example' })), 'AccessDenied');
  const named = new Map([[parseModuleName('filter'), ['filter.example', 'front9.example']]]);
  const code = (options: object) =>
    codeOf(() => refuseNames(source('filter', [], options), { ...config, serverNames: named }));
  assert.is(code({ Domainname: 'example' }), 'no failure');
  assert.is(code({ Domainname: 'example', Hostname: 'front9' }), 'no failure');
  assert.is(code({ Domainname: 'example', Hostname: 'front8' }), 'AccessDenied');
});

test('refuses the host name of the machine', () => {
  const [label = ''] = hostname().split('.', 1);
  for (const name of [label, label.toUpperCase(), hostname()]) {
    assert.is.not(clash(source('filter', [name])), 'no failure', name);
  }
});

test('allows the hub the name of the device, and listed modules other names', () => {
  const alias = 'gateway.EXAMPLE';
  assert.is(clash(source('edgeHub', [alias])), 'no failure');
  assert.is(clash(source('broker', [alias, 'mqtt', '10.0.0.7'])), 'no failure');
  assert.is(clash(source('broker', ['other.example'])), 'AccessDenied');
  assert.is(clash(source('edgeHub', ['mqtt'])), 'AlreadyExists');
});

test('allows a cloud hub with the name of a system module', () => {
  const code = (name: string) =>
    codeOf(() =>
      refuseNames(source(name), config, { ...upstream, hub_hostname: 'edgehub.example' }),
    );
  assert.is(code('edgeHub'), 'no failure');
  assert.is(code('EdgeHub'), 'AlreadyExists');
});

test('certifies a module only for its own names', () => {
  const hostname = '0123456789ab';
  const certified = (one: ReturnType<typeof source>, name: string) =>
    mayBeCertified(name, { source: one, others, config, upstream, hostname });
  const filter = source(
    'filter',
    ['sieve', 'xn--4ca', 'acr.example', 'myhub', 'sensor', '10.0.0.9', '*'],
    {
      Hostname: 'front2',
    },
  );
  for (const name of ['filter', 'FILTER', 'sieve', 'xn--4ca', 'front2', '0123456789AB'])
    assert.ok(certified(filter, name), name);
  const foreign = ['acr.example', 'myhub', 'sensor', '10.0.0.9', '*', 'gateway.example', 'gateway'];
  for (const name of [
    ...foreign,
    'edgeHub',
    'mqtt',
    'other',
    '',
    'myhub.azure-devices.net',
    'sieve.example',
    'ä', // what xn--4ca stands for
  ]) {
    assert.not.ok(certified(filter, name), name);
  }
  const hub = source('edgeHub');
  assert.ok(certified(hub, 'Gateway.Example'));
  assert.ok(certified(hub, 'gateway.example.'));
  assert.not.ok(certified(hub, 'gateway'));
  assert.not.ok(certified(hub, `gateway.example${'.'.repeat(253)}`)); // longer than any name
  const longest = [63, 63, 63, 61].map((length) => 'a'.repeat(length)).join('.');
  const granted = new Map([[parseModuleName('broker'), [longest, `${longest}a`]]]);
  const longNames = { ...config, serverNames: granted };
  const given = { source: source('broker'), others, upstream, hostname };
  assert.is(longest.length, 253);
  assert.is(mayBeCertified(longest, { ...given, config: longNames }), true);
  assert.is(mayBeCertified(`${longest}a`, { ...given, config: longNames }), false);
  const broker = source('broker');
  for (const name of ['mqtt', '10.0.0.7', 'gateway.example'])
    assert.ok(certified(broker, name), name);
});

test('derives the host name that the engine generates, if it generates one', () => {
  const id = '0123456789abcdef0123456789abcdef';
  const generated = (createOptions: Readonly<Record<string, unknown>>) =>
    generatedHostname(
      { ...source('filter'), settings: { ...source('filter').settings, createOptions } },
      id,
    );
  assert.is(generated({}), '0123456789ab');
  assert.is(generated({ Hostname: '', HostConfig: { NetworkMode: 'bridge' } }), '0123456789ab');
  assert.is(generated({ Hostname: 'front' }), undefined);
  for (const HostConfig of [
    { NetworkMode: 'host' },
    { NetworkMode: 'container:edgeHub' },
    { UTSMode: 'host' },
  ]) {
    assert.is(generated({ HostConfig }), undefined);
  }
  assert.is(generatedHostname(source('filter'), undefined), undefined);
});

test('checks each of many names once', () => {
  const aliases = (letter: string) => Array.from({ length: 4000 }, (_, at) => `${letter}${at}`);
  const many = Array.from({ length: 20 }, (_, at) => source(`m${at}`, aliases(`a${at}x`)));
  let reads = 0;
  const counted = many.map(({ name, ...rest }) => ({
    ...rest,
    get name() {
      reads++;
      return name;
    },
  }));
  refuseTaken(source('filter', aliases('b')), counted, config);
  assert.ok(reads < 200, `${reads} reads`);
});

test('refuses a name that a container or a certificate cannot have with InvalidArgs', () => {
  const code = (name: string) => codeOf(() => refuseUnusable(parseModuleName(name)));
  assert.is(code('a'.repeat(104)), 'no failure');
  assert.is(code('a'.repeat(105)), 'InvalidArgs');
  assert.is(code('a:b'), 'InvalidArgs');
  assert.is(code('a'), 'InvalidArgs');
  assert.throws(() => refuseUnusable(parseModuleName('a')), /"a": it has 2 to 104 letters/);
});

test('are refused to a module that would become the agent of a later configuration', () => {
  const code = (agent: string | undefined) => {
    const named =
      agent === undefined ? undefined : { ...config.agent, name: parseModuleName(agent) };
    return codeOf(() => refuseNames(source('edgeAgent'), { ...config, agent: named }));
  };
  assert.equal([undefined, 'keeper', 'edgeAgent'].map(code), [
    'AlreadyExists',
    'AlreadyExists',
    'no failure',
  ]);
});

test.run();
