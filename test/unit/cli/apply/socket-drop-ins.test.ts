import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type SocketFacts,
  socketChange,
  unusable,
} from '../../../../src/cli/apply/socket-drop-ins.ts';

const test = suite('drop-ins of socket units');

const unitFile = '[Socket]\n# ListenStream=/comment\nListenStream=/var/lib/iotedge/mgmt.sock\n';
const facts = (more: Partial<SocketFacts>): SocketFacts => ({
  unit: 'iotedge-modules-management.socket',
  setting: 'listen.management_uri',
  wanted: '/var/lib/iotedge/mgmt.sock',
  unitFile,
  dropIn: undefined,
  ...more,
});

test('are written only where the unit listens elsewhere, after an empty ListenStream', () => {
  assert.is(socketChange(facts({})), undefined);
  const change = socketChange(facts({ wanted: '/run/100%.sock' }));
  assert.is(change?.path, '/etc/systemd/system/iotedge-modules-management.socket.d/listen.conf');
  const settings = change?.text?.split('\n').filter((line) => !/^(#|$)/.test(line));
  assert.equal(settings, ['[Socket]', 'ListenStream=', 'ListenStream=/run/100%%.sock']);
  assert.match(change?.text ?? '', 'listen.management_uri of modules.yaml');
  assert.is(socketChange(facts({ wanted: '/run/100%.sock', dropIn: change?.text })), undefined);
});

test('are removed when the unit itself listens there, and written again when changed by hand', () => {
  const changed = "# Written by 'iotedgectl config apply' from anything\n";
  const obsolete = socketChange(facts({ dropIn: changed }));
  assert.ok(obsolete !== undefined && obsolete.text === undefined);
  assert.ok(socketChange(facts({ wanted: '/run/m.sock', dropIn: changed }))?.text);
});

test('are left alone when an administrator wrote them', () => {
  for (const wanted of ['/run/m.sock', '/var/lib/iotedge/mgmt.sock']) {
    assert.is(socketChange(facts({ wanted, dropIn: '[Socket]\nBacklog=9\n' })), undefined);
  }
});

test('are written for a unit that listens at several paths', () => {
  const two = `${unitFile}ListenStream=/run/second.sock\n`;
  assert.ok(socketChange(facts({ unitFile: two }))?.text);
  const reset = `${two}ListenStream=\nListenStream= /var/lib/iotedge/mgmt.sock \n`;
  assert.is(socketChange(facts({ unitFile: reset })), undefined);
});

test('are refused for paths that would write other settings or cannot be bound', () => {
  assert.is(unusable('/run/a b%.sock'), undefined);
  for (const path of ['/run/a\nExecStartPre=/bin/sh', '/run/a\\', '/run/a ', '/run/\u0085x']) {
    assert.match(unusable(path) ?? '', 'systemd cannot read');
  }
  assert.is(unusable(`/${'a'.repeat(106)}`), undefined);
  assert.match(unusable(`/${'a'.repeat(107)}`) ?? '', 'longer');
});

test.run();
