import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { foreignState, misplacedStates } from '../../../../src/cli/apply/state-place.ts';

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
    assert.match(misplaced(path).get('modules') ?? '', 'modules: its state directory');
  });
}

test('are left alone when they hold something else', async () => {
  const path = await mkdtemp('/root/iotedge-state-');
  try {
    assert.is(foreignState(join(path, 'none'), 4711), undefined);
    assert.is(foreignState(path, 4711), undefined, 'an empty one');
    await mkdir(join(path, 'info'));
    assert.match(foreignState(path, 4711) ?? '', 'is not the state of a service');
    assert.is(foreignState(path, 0), undefined, 'of its user');
    await writeFile(join(path, 'shown.json'), '{}');
    assert.is(foreignState(path, 4711), undefined, 'restored by root');
  } finally {
    await rm(path, { recursive: true });
  }
});

test.run();
