import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readPin } from '../../../../../src/keys/pkcs11/library/pin-source.ts';
import { failureOf } from '../../../../support/failure.ts';

const test = suite('the PIN of a token');

test('is the content of its file except one trailing line break', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-pin-'));
  try {
    const path = join(directory, 'pin');
    const contents = {
      '1234': '1234',
      '1234\n': '1234',
      '1234\r\n': '1234',
      ' 12 34 \n': ' 12 34 ',
    };
    for (const [content, pin] of [...Object.entries(contents), ['12\n\n', '12\n'] as const]) {
      await writeFile(path, content);
      assert.is(await readPin({ kind: 'file', path }), pin, JSON.stringify(content));
    }
    const absent = join(directory, 'absent');
    assert.is(await failureOf(readPin({ kind: 'file', path: absent })), 'Unavailable');
  } finally {
    await rm(directory, { recursive: true });
  }
  assert.is(await readPin({ kind: 'value', value: ' 1234\n' }), ' 1234\n');
  assert.is(await readPin(undefined), undefined);
});

test.run();
