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

const test = suite('names of modules');
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

function clash(one: ReturnType<typeof source>): string {
  return codeOf(() => {
    refuseNames(one, config, upstream);
    refuseTaken(one, others, config);
  });
}

/** What becomes of a name, by each way in which a module gets one. */
function everyWay(name: string): readonly string[] {
  const [first = '', ...domain] = name.split('.');
  return [
    clash(source('filter', ['sieve', name])),
    clash(source('filter', [], { Hostname: name })),
    ...(domain.length > 0
      ? [clash(source('filter', [], { Hostname: first, Domainname: domain.join('.') }))]
      : []),
  ];
}

test('takes names that nobody has', () => {
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

test('refuses a name that is another module, in whichever letters', () => {
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

test('refuses to be known by a name of another module', () => {
  const names = ['sensor', 'Thermometer', 'front', 'edgeHub', 'edgeagent', 'keeper', 'broker'];
  for (const alias of [...names, 'MQTT']) {
    assert.equal(everyWay(alias), ['AlreadyExists', 'AlreadyExists'], alias);
  }
  // the other name for it that a resolver takes
  for (const alias of ['sensor.', 'edgeHub.']) {
    assert.is.not(clash(source('filter', [alias])), 'no failure');
    assert.is.not(clash(source('filter', [], { Hostname: alias })), 'no failure');
  }
});

test('refuses what stands for the device or for what is above it', () => {
  const labels = ['myhub', 'MyHub', 'parent', 'gateway', 'global', 'device-7', 'localhost'];
  for (const name of labels) {
    assert.equal(everyWay(name), ['AlreadyExists', 'AlreadyExists'], name);
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

test('refuses names of the network outside and addresses to those who were not given them', () => {
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

test('knows a name by its letters beyond ASCII and by their xn-- form', () => {
  const above = { hub_hostname: 'h.example', gateway_hostname: 'Gerät.local', device_id: 'größe' };
  const code = (name: string) => codeOf(() => refuseNames(source('filter', [name]), config, above));
  assert.is(code('xn--gert-noa'), 'AlreadyExists');
  assert.is(code('XN--gert-NOA'), 'AlreadyExists');
  assert.is(code('xn--gre-6ka8i'), 'AlreadyExists');
  assert.is(code('xn--gert-loa'), 'no failure');
});

test('refuses the whole name that a domain makes of a module', () => {
  assert.is(clash(source('filter', [], { Domainname: 'example' })), 'AccessDenied');
  const named = new Map([[parseModuleName('filter'), ['filter.example', 'front9.example']]]);
  const code = (options: object) =>
    codeOf(() => refuseNames(source('filter', [], options), { ...config, serverNames: named }));
  assert.is(code({ Domainname: 'example' }), 'no failure');
  assert.is(code({ Domainname: 'example', Hostname: 'front9' }), 'no failure');
  assert.is(code({ Domainname: 'example', Hostname: 'front8' }), 'AccessDenied');
});

test('refuses the name that the machine has by itself', () => {
  const [label = ''] = hostname().split('.', 1);
  for (const name of [label, label.toUpperCase(), hostname()]) {
    assert.is.not(clash(source('filter', [name])), 'no failure', name);
  }
});

test('gives the name of the device to the hub, and other names to those who are listed', () => {
  const alias = 'gateway.EXAMPLE';
  assert.is(clash(source('edgeHub', [alias])), 'no failure');
  assert.is(clash(source('broker', [alias, 'mqtt', '10.0.0.7'])), 'no failure');
  assert.is(clash(source('broker', ['other.example'])), 'AccessDenied');
  assert.is(clash(source('edgeHub', ['mqtt'])), 'AlreadyExists');
});

test('lets a hub be called like the modules of the system', () => {
  const code = (name: string) =>
    codeOf(() =>
      refuseNames(source(name), config, { ...upstream, hub_hostname: 'edgehub.example' }),
    );
  assert.is(code('edgeHub'), 'no failure');
  assert.is(code('EdgeHub'), 'AlreadyExists');
});

test('certifies a module for its own names alone', () => {
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

test('knows the host name that an engine makes up, where it makes one up', () => {
  const id = '0123456789abcdef0123456789abcdef';
  const made = (createOptions: Readonly<Record<string, unknown>>) =>
    generatedHostname(
      { ...source('filter'), settings: { ...source('filter').settings, createOptions } },
      id,
    );
  assert.is(made({}), '0123456789ab');
  assert.is(made({ Hostname: '', HostConfig: { NetworkMode: 'bridge' } }), '0123456789ab');
  assert.is(made({ Hostname: 'front' }), undefined);
  for (const HostConfig of [
    { NetworkMode: 'host' },
    { NetworkMode: 'container:edgeHub' },
    { UTSMode: 'host' },
  ]) {
    assert.is(made({ HostConfig }), undefined);
  }
  assert.is(generatedHostname(source('filter'), undefined), undefined);
});

test('looks at each of many names once', () => {
  const aliases = (letter: string) => Array.from({ length: 4000 }, (_, at) => `${letter}${at}`);
  const many = Array.from({ length: 20 }, (_, at) => source(`m${at}`, aliases(`a${at}x`)));
  let looks = 0;
  const counted = many.map(({ name, ...rest }) => ({
    ...rest,
    get name() {
      looks++;
      return name;
    },
  }));
  refuseTaken(source('filter', aliases('b')), counted, config);
  assert.ok(looks < 200, `${looks} looks`);
});

test('says InvalidArgs for a name that no container or no certificate can have', () => {
  const code = (name: string) => codeOf(() => refuseUnusable(parseModuleName(name)));
  assert.is(code('a'.repeat(104)), 'no failure');
  assert.is(code('a'.repeat(105)), 'InvalidArgs');
  assert.is(code('a:b'), 'InvalidArgs');
  assert.is(code('a'), 'InvalidArgs');
});

test.run();
