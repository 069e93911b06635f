import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { childPath, encodePathElement } from '../../../src/dbus/path.ts';

const test = suite('dbus path');

test('escapes as sd_bus_path_encode does', () => {
  const known = [
    ['', '_'],
    ['device-id', 'device_2did'],
    ['$edgeAgent', '_24edgeAgent'],
    ['0abc9', '_30abc9'],
    ['a_b', 'a_5fb'],
    ['a/b@2', 'a_2fb_402'],
    ['ü', '_c3_bc'],
  ] as const;
  for (const [id, element] of known) assert.is(encodePathElement(id), element);
});

test('gives different ids different paths', () => {
  const ids = ['_', '', 'a_2d', 'a-', 'a_', 'A-', '_5f'];
  assert.is(new Set(ids.map((id) => childPath('/m', 'key', id))).size, ids.length);
});

test.run();
