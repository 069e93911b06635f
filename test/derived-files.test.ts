import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('derived files');
const root = join(import.meta.dirname, '../..');

test('are up to date with npm run generate', () => {
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(root, 'src/build/generate.mjs'), '--check'],
    { encoding: 'utf8', timeout: 60_000 },
  );
  assert.is(stderr, '');
  assert.is(status, 0);
});

test.run();
