import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isNestedDeeper } from '../../../../../../src/modules/api/http/request/nesting.ts';

const test = suite('nesting of JSON');

test('is counted without what strings contain', () => {
  const texts: readonly (readonly [string, boolean])[] = [
    ['1', false],
    ['[{}]', false],
    ['[[],[{}]]', true],
    ['[{"a":[]}]', true],
    ['[[],[],{},{}]', false],
    ['["[[[", "\\"[[[", "\\\\"]', false],
    ['["\\\\", [[]]]', true],
    ['["[[[', false],
  ];
  for (const [text, isDeeper] of texts) assert.is(isNestedDeeper(text, 2), isDeeper, text);
});

test.run();
