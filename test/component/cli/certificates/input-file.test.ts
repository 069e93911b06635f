/** Files that certificates are imported from. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readInputFile } from '../../../../src/cli/certificates/input-file.ts';
import { describeError } from '../../../../src/errors.ts';

const test = suite('a file of certificates');

test('has at most 1 MiB, which the refusal states', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-input-'));
  try {
    const file = join(directory, 'certificates.pem');
    await writeFile(file, Buffer.alloc((1 << 20) + 1));
    const text = await readInputFile(file).then(() => 'read', describeError);
    assert.is(text, `${file} is longer than 1048576 bytes`);
    const missing = await readInputFile(`${file}.old`).then(() => 'read', describeError);
    assert.match(missing, 'cannot be read (ENOENT)');
  } finally {
    await rm(directory, { recursive: true });
  }
});

test.run();
