import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  isHostName,
  withoutLastDots,
} from '../../../../../src/modules/docker/confinement/host-name.ts';
import { parseAliases } from '../../../../../src/modules/docker/create-options/common-settings.ts';
import { boundedWork } from '../../../../support/deadline.ts';

const test = suite('host names');

test('lose their last dots', () => {
  for (const [name, plain] of [
    ['edge', 'edge'],
    ['edge.', 'edge'],
    ['a.b..', 'a.b'],
    ['.a', '.a'],
    ['...', ''],
    ['', ''],
  ] as const)
    assert.is(withoutLastDots(name), plain);
});

test('have at most 253 characters', () => {
  const name = `${'a.'.repeat(126)}a`;
  assert.ok(isHostName(name));
  assert.not.ok(isHostName(`${name}.`));
});

test('of a million characters take no time, whichever user sends them', () => {
  const dots = `${'.'.repeat(1_000_000)}x`;
  assert.is(boundedWork(() => withoutLastDots(dots)).length, dots.length);
  assert.throws(() => boundedWork(() => parseAliases([dots])), /is not a host name/);
});

test.run();
