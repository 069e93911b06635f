import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadedCredentials } from '../../../../src/cli/image/credentials.ts';
import { containersIn, volumesIn } from '../../../../src/cli/image/engine.ts';
import { adviceOn } from '../../../../src/cli/image/left.ts';
import { ownTokenKeys, refusalOf, unitsToStop } from '../../../../src/cli/image/plan.ts';
import { services } from '../../../../src/cli/systemd/units.ts';

const test = suite('what is removed before a disk is copied');

const container = (module: string, state: string) => ({ id: module, module, state });
const noKeys = { named: [], inToken: [] };

test('is nothing while a module runs, whatever the engine calls that', () => {
  assert.is(refusalOf([], noKeys), undefined);
  assert.is(refusalOf([container('a', 'exited'), container('b', 'created')], noKeys), undefined);
  for (const state of ['running', 'paused', 'restarting', 'removing', '']) {
    assert.match(refusalOf([container('edgeAgent', state)], noKeys) ?? '', 'run: edgeAgent');
  }
});

test('is nothing when a key is named that no token has', () => {
  const keys = { named: ['a', 'c'], inToken: ['a', 'b'] };
  assert.match(refusalOf([], keys) ?? '', 'deleted: c, there is: a, b');
  assert.is(refusalOf([], { ...keys, named: ['b'] }), undefined);
});

test('has of the keys in tokens only those that the Keys service made or imported', () => {
  const found = ownTokenKeys([
    ['created', { Store: 'pkcs11', Origin: 'created' }],
    ['preloaded', { Store: 'pkcs11', Origin: 'preloaded' }],
    ['file', { Store: 'file', Origin: 'created' }],
  ]);
  assert.equal(found, ['created']);
});

test('comes after the stop of everything that could start a service', () => {
  assert.equal(unitsToStop(services), [
    'iotedge-certificates.timer',
    'iotedge-identity.timer',
    'iotedge-modules-management.socket',
    'iotedge-modules-workload.socket',
    'iotedge-modules.service',
    'iotedge-identity.service',
    'iotedge-certificates.service',
    'iotedge-keys.service',
  ]);
});

test("reads the engine's list, and no other", () => {
  const owner = { 'net.azure-devices.edge.owner': 'Microsoft.Azure.Devices.Edge.Agent' };
  const json = JSON.stringify([
    { Id: '1', State: 'running', Labels: { ...owner, 'org.iotedge.module': 'edgeAgent' } },
    { Id: '2', Labels: { ...owner, 'org.iotedge.module': 'sensor' }, Names: ['/renamed'] },
    { Id: '6', Labels: owner, Names: ['/foreign'] },
    { Id: '3', Labels: { 'org.iotedge.module': 'foreign' } },
    { Id: '4', Labels: { 'net.azure-devices.edge.owner': 'another' } },
    { Id: '5' },
  ]);
  assert.equal(containersIn(json), [
    { id: '1', module: 'edgeAgent', state: 'running' },
    { id: '2', module: 'sensor', state: '' },
  ]);
  for (const other of ['{}', 'null', '"x"', 'no']) assert.throws(() => containersIn(other));
});

test("reads the engine's list of volumes, which has none as null", () => {
  const label = { 'org.iotedge.module': 'edgeHub' };
  const volumes = [
    { Name: 'hub', Labels: label },
    { Name: 'foreign', Labels: null },
  ];
  assert.equal(volumesIn(JSON.stringify({ Volumes: volumes })), ['hub']);
  assert.equal(volumesIn('{"Volumes":null}'), []);
});

test('knows the credentials of a unit by the path, which is the name where the unit has none', () => {
  const lines = new Map([
    ['LoadCredential', [['iotedge-keys.pin', 'iotedge-keys.pin']]],
    ['LoadCredentialEncrypted', [['pin', '/etc/pin']]],
  ]);
  assert.equal(loadedCredentials(lines), ['iotedge-keys.pin', '/etc/pin']);
  assert.equal(loadedCredentials(new Map()), []); // of a socket or timer
});

test('says of each kind of what is left how it is removed', () => {
  const nothing = { tokens: [], credentials: [], volumes: [] };
  assert.equal(adviceOn(nothing), []);
  assert.match(adviceOn({ ...nothing, tokens: ['a'] }).join(), /--token-keys .*: a$/);
  assert.match(adviceOn({ ...nothing, credentials: ['/b'] }).join(), /--credentials .*: \/b$/);
  assert.match(adviceOn({ ...nothing, volumes: ['c'] }).join(), /docker volume rm.*: c$/);
});

test.run();
