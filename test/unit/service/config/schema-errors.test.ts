import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  explain,
  explainType,
  type Violation,
} from '../../../../src/service/config/schema-errors.ts';

const test = suite('schema errors in words');

const violation = (
  keyword: string,
  params: Violation['params'],
  instancePath = '/a',
): Violation => {
  return { keyword, params, instancePath, schemaPath: `#/${keyword}` };
};

test('name the expected type in plain words', () => {
  assert.is(explainType('"a"', 'object', 'x'), '"a" must be a map');
  assert.is(explainType('"a"', ['array', 'null'], 'x'), '"a" must be a list or empty');
  assert.is(explainType('"a"', ['integer', 'integer'], 'x'), '"a" must be a whole number');
  assert.is(explainType('"a"', 'boolean', 'yes'), '"a" must be true or false');
});

test('suggest quotes where a number or a boolean replaces a text, and only there', () => {
  for (const value of [1.1, true]) {
    assert.is(explainType('"a"', 'string', value), '"a" must be a text: write it in quotes');
    assert.is(explainType('"a"', 'array', value), '"a" must be a list');
  }
  assert.is(explainType('"a"', 'string', []), '"a" must be a text');
});

test('report a missing value, whatever type is expected', () => {
  assert.is(explainType('"a"', 'string', null), '"a" has no value');
});

test('repeat what the schema says of a setting whose form is wrong', () => {
  const description = 'How long: a number and s or h.';
  const schema = { properties: { 'a/b c': { description, pattern: '^[0-9]+[sh]$' } } };
  const wrong = {
    ...violation('pattern', {}, '/a~1b c'),
    schemaPath: '#/properties/a~1b%20c/pattern',
  };
  const [explained] = explain([wrong], schema, { 'a/b c': 'x' });
  assert.match(
    explained?.message ?? '',
    /does not have the right form: how long: a number and s or h$/,
  );
});

test('are reported once each', () => {
  const twice = [violation('type', { type: 'string' }), violation('type', { type: 'string' })];
  assert.is(explain(twice, {}, { a: [] }).length, 1);
  const two = [violation('type', { type: 'string' }), violation('type', { type: 'string' }, '/b')];
  assert.is(explain(two, {}, { a: [], b: [] }).length, 2);
});

test('have words for every keyword', () => {
  for (const [keyword, params, expected] of [
    ['required', { missingProperty: 'b' }, '"a" lacks "b"'],
    ['const', { allowedValue: 2 }, '"a" must be 2'],
    ['pattern', {}, '"a" does not have the right form'],
    ['discriminator', { tag: 'kind' }, '"a" needs a known "kind"'],
    ['propertyNames', { propertyName: 'b' }, '"b" is not a name that "a" can have'],
    ['additionalProperties', { additionalProperty: 'zz' }, 'unknown key "zz" in "a"'],
    ['unevaluatedProperties', { unevaluatedProperty: 'zz' }, 'unknown key "zz" in "a"'],
    ['minItems', {}, '"a" fails minItems'],
  ] as const) {
    const [explained, ...others] = explain([violation(keyword, params)], {}, { a: {} });
    assert.is(explained?.message, expected);
    assert.is(others.length, 0);
  }
  const [whole] = explain([violation('required', { missingProperty: 'b' }, '')], {}, {});
  assert.is(whole?.message, 'the configuration lacks "b"');
});

test('suggest a key, and none for a key that may contain a secret', () => {
  const schema = { properties: { a: { properties: { pins: {} } } } };
  const unknown = (key: string) =>
    explain([violation('additionalProperties', { additionalProperty: key })], schema, { a: {} })[0];
  assert.is(unknown('pns')?.suggestion, 'pins');
  assert.is(unknown('pin=1')?.suggestion, undefined);
});

test.run();
