import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { commonProperties } from '../../../../src/service/config/common-config.ts';
import type { Validate } from '../../../../src/service/config/schema-errors.ts';
import { standaloneValidators } from '../../../../src/service/config/schema-standalone.ts';
import type { Schema } from '../../../../src/service/config/schema-validator.ts';
import { compile } from '../../../../src/service/config/schema-validator.ts';

const test = suite('schema validators');

const one: Schema = {
  $id: 'https://example.invalid/one.schema.json',
  type: 'object',
  properties: {
    ...commonProperties,
    list: { type: 'array', items: { type: 'string', minLength: 2 } },
  },
  patternProperties: { '^key:.+$': { type: 'string' } },
  additionalProperties: false,
};
const other: Schema = { $id: 'https://example.invalid/other.schema.json', type: 'string' };

async function generated(schemas: readonly Schema[]): Promise<(schema: Schema) => Validate> {
  // inside the project, so that the imports of the text resolve
  const dir = await mkdtemp(join(import.meta.dirname, '../../../../validators-'));
  try {
    await writeFile(join(dir, 'validators.cjs'), standaloneValidators(schemas));
    const module: unknown = createRequire(import.meta.url)(join(dir, 'validators.cjs'));
    // the generated text promises this shape; the tests below verify it
    return (module as { compile: (schema: Schema) => Validate }).compile;
  } finally {
    await rm(dir, { recursive: true });
  }
}

test('report the same when generated as when compiled, and fill in the same defaults', async () => {
  const compiled = await generated([one, other]);
  const values = [{}, { lst: 1, list: ['a', 2] }, { 'key:a': 1, log_level: 'x' }, [], 'text', null];
  for (const schema of [one, other]) {
    for (const value of values) {
      const [left, right] = [structuredClone(value), structuredClone(value)];
      assert.equal(compiled(schema)(left), compile(schema)(right));
      assert.equal(left, right);
    }
  }
});

test('fail when none was generated for a schema', async () => {
  const compiled = await generated([one]);
  assert.throws(() => compiled(other), /other\.schema/);
});

test('are in the bundle of a program once', async () => {
  for (const program of ['iotedge-modules', 'iotedgectl-configuration']) {
    const path = join(import.meta.dirname, '../../../../lib', `${program}.cjs`);
    const text = await readFile(path, 'utf8');
    assert.is(text.split('no validator was built').length - 1, 1, program);
  }
});

test.run();
