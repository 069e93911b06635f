import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  parseSettings,
  settingsJson,
} from '../../../../../src/modules/docker/create-options/create-options.ts';
import { codeIn } from '../../../../support/failure.ts';

const test = suite('settings of modules of any type');

function parsed(members: object): object | string {
  try {
    const { startAfter, aliases } = parseSettings({ image: 'a', ...members });
    return { ...(startAfter && { startAfter }), ...(aliases && { aliases }) };
  } catch (error) {
    return codeIn(error);
  }
}

test('are unset when they are absent or null', () => {
  assert.equal(parsed({}), {});
  assert.equal(parsed({ start_after: null, aliases: null }), {});
});

test('name modules by name or cloud id, each once', () => {
  const start_after = ['$edgeHub', 'sensor', 'edgeHub'];
  assert.equal(parsed({ start_after }), { startAfter: ['edgeHub', 'sensor'] });
  assert.equal(parsed({ start_after: [] }), { startAfter: [] });
});

test('have aliases that are host names', () => {
  assert.equal(parsed({ aliases: ['broker', 'a.b'] }), { aliases: ['broker', 'a.b'] });
});

test('are refused when they are no lists of names', () => {
  for (const wrong of ['sensor', {}, 1, [1], [null], [[]], [''], ['a/b'], ['-a b']]) {
    assert.is(parsed({ start_after: wrong }), 'InvalidArgs', JSON.stringify(wrong));
    assert.is(parsed({ aliases: wrong }), 'InvalidArgs', JSON.stringify(wrong));
  }
  const many = Array.from({ length: 65 }, (_, index) => `m${index}`);
  assert.is(parsed({ start_after: many }), 'InvalidArgs');
  assert.is(parsed({ aliases: many }), 'InvalidArgs');
});

test('survive a round trip', () => {
  const settings = parseSettings({ image: 'a', start_after: ['b'], aliases: ['c'] });
  assert.equal(settingsJson(settings), {
    image: 'a',
    createOptions: {},
    start_after: ['b'],
    aliases: ['c'],
  });
  assert.equal(parseSettings(settingsJson(settings)), settings);
});

test.run();
