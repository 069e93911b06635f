import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { misplacedStates } from '../../../../src/cli/configuration/state-place.ts';

const test = suite('places of state directories');

const usual = {
  keys: '/var/lib/iotedge/keys',
  certificates: '/var/lib/iotedge/cs',
  modules: '/var/lib/iotedge/iotedged',
};
const misplaced = (modules: string) =>
  misplacedStates(new Map(Object.entries({ ...usual, modules })));

test('are good where the configurations of users have them', () => {
  assert.is(misplaced(usual.modules).size, 0);
  assert.is(misplaced('/srv/iotedge/modules').size, 0);
  assert.is(misplaced('/var/lib/iotedge-modules').size, 0);
});

for (const path of [
  '/',
  '/var/lib',
  '/var/lib/iotedge',
  '/var/lib/iotedge/',
  '/var/lib/x/../iotedge',
  '/var/lib/iotedge/keys',
  '/etc/iotedge',
  '/usr/sbin/x',
  '/home/a',
]) {
  test(`are refused at ${path}`, () => {
    assert.match(
      misplaced(path).get('modules') ?? '',
      /the state directory .* of the modules service/,
    );
  });
}

for (const path of ['/run/iotedge/modules', '/var/run/iotedge/modules']) {
  test(`are refused at ${path}, which no boot keeps`, () => {
    assert.match(misplaced(path).get('modules') ?? '', /modules service is empty after each boot/);
  });
}

test('are refused in that of another service, whatever name it has', () => {
  assert.match(misplaced('/var/lib/iotedge/keys/x').get('modules') ?? '', "in another one's");
  assert.match(misplaced('/var/lib/iotedge/certificates').get('modules') ?? '', 'contains');
  assert.match(misplaced('/var/lib/iotedge/certificates/x').get('modules') ?? '', "another one's");
});

test.run();
