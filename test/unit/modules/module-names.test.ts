import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import { parseModuleName } from '../../../src/ids.ts';
import { refuseTaken, refuseUnusable } from '../../../src/modules/module-names.ts';

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
  serverNames: [parseModuleName('broker')],
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

function codeOf(action: () => void): string {
  try {
    action();
    return 'none';
  } catch (error) {
    return isServiceError(error) ? error.code : String(error);
  }
}

const others = [source('sensor', ['thermometer']), source('web', [], { Hostname: 'front' })];
const clash = (one: ReturnType<typeof source>) => codeOf(() => refuseTaken(one, others, config));

test('takes names that nobody has', () => {
  assert.is(clash(source('filter', ['filter', 'sieve', 'edge'])), 'none');
  assert.is(clash(source('filter', [], { Hostname: 'filter' })), 'none');
  assert.is(clash(source('sensor', ['thermometer', 'sensor'])), 'none');
  assert.is(clash(source('edgeHub')), 'none');
  assert.is(clash(source('keeper', ['keeper'])), 'none');
});

test('refuses a name that is another module, in whichever letters', () => {
  for (const name of ['Sensor', 'THERMOMETER', 'Front', 'edgehub', 'EdgeAgent', 'Keeper', 'Broker'])
    assert.is(clash(source(name)), 'AlreadyExists', name);
});

test('refuses to be known by a name of another module', () => {
  const names = ['sensor', 'Thermometer', 'front', 'edgeHub', 'edgeagent', 'keeper', 'broker'];
  for (const alias of [...names, 'sensor.']) {
    assert.is(clash(source('filter', ['sieve', alias])), 'AlreadyExists', alias);
    assert.is(clash(source('filter', [], { Hostname: alias })), 'AlreadyExists', alias);
  }
});

test('lets only those have the name of the device that clients reach it through', () => {
  const alias = 'gateway.EXAMPLE';
  assert.is(clash(source('filter', [alias])), 'AlreadyExists');
  assert.is(clash(source('filter', [], { Hostname: alias })), 'AlreadyExists');
  assert.is(clash(source(alias)), 'AlreadyExists');
  assert.is(clash(source('edgeHub', [alias])), 'none');
  assert.is(clash(source('broker', [alias])), 'none');
});

test('says InvalidArgs for a name that no container or no certificate can have', () => {
  const code = (name: string) => codeOf(() => refuseUnusable(parseModuleName(name)));
  assert.is(code('a'.repeat(104)), 'none');
  assert.is(code('a'.repeat(105)), 'InvalidArgs');
  assert.is(code('a:b'), 'InvalidArgs');
  assert.is(code('a'), 'InvalidArgs');
});

test.run();
