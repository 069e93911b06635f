import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { duplicateMember } from '../../../../../../src/modules/api/http/request/duplicate-member.ts';
import { holds } from '../../../../../support/property.ts';

const test = suite('members of JSON that are there twice');

test('are found at any depth, however they are spelled', () => {
  const table: readonly (readonly [string, readonly string[] | undefined])[] = [
    ['{"a":1,"a":2}', ['a']],
    ['{"a":1,"\\u0061":2}', ['a']],
    ['{"a":{"b":1},"c":{"b":1}}', undefined],
    ['{"a":{"b":1,"b":2}}', ['a', 'b']],
    ['[{"a":1},{"a":1}]', undefined],
    ['{"x":[0,{"a":"a","a":1}]}', ['x', '', 'a']],
    ['{"a":"a","b":"a,\\"a\\":"}', undefined],
    ['{"a":"\\\\","a":1}', ['a']],
    ['{"":1,"":2}', ['']],
    ['{"__proto__":1,"b":2}', undefined],
    [' { "a" : 1 , "a" : 1 } ', ['a']],
    ['"a"', undefined],
    ['{"a":["b","b"],"b":{}}', undefined],
  ];
  for (const [text, path] of table) assert.equal(duplicateMember(text), path, text);
});

test('are none in what JSON.stringify returns', () => {
  holds(
    fc.property(fc.jsonValue(), fc.nat(2), (value, indent) => {
      assert.is(duplicateMember(JSON.stringify(value, undefined, indent)), undefined);
    }),
    500,
  );
});

test('are found whatever the members around them are', () => {
  holds(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.string(), (members, key) => {
      const rest = { ...members, [key]: 0 };
      const text = JSON.stringify(rest);
      const twice = `${text.slice(0, -1)},${JSON.stringify(key)}:1}`;
      assert.equal(duplicateMember(twice), [key]);
    }),
    500,
  );
});

test.run();
