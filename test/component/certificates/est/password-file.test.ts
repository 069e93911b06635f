import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readPassword } from '../../../../src/certificates/est/password-file.ts';
import { isServiceError } from '../../../../src/errors.ts';
import { deadline } from '../../../support/deadline.ts';

const test = suite<{ path?: string }>('EST password files');

test.before.each(async (context) => {
  context.path = join(await mkdtemp(join(tmpdir(), 'iotedge-password-')), 'password');
});

test.after.each(async ({ path = '' }) => {
  await rm(join(path, '..'), { recursive: true, force: true });
});

async function write(path: string, text: string, mode = 0o640): Promise<string> {
  await writeFile(path, text);
  await chmod(path, mode);
  return path;
}

async function refusalOf(path: string): Promise<string> {
  const error: unknown = await readPassword(path).catch((one: unknown) => one);
  assert.ok(isServiceError(error, 'Unavailable'), String(error));
  return String(error);
}

for (const [text, password] of [
  ['secret', 'secret'],
  ['secret\n', 'secret'],
  ['secret\r\n', 'secret'],
  [' two words \n\n', ' two words \n'],
] as const) {
  test(`have one line: ${JSON.stringify(text)}`, async ({ path = '' }) => {
    assert.is(await readPassword(await write(path, text)), password);
  });
}

for (const mode of [0o644, 0o642]) {
  test(`are refused when all users have access: ${mode.toString(8)}`, async ({ path = '' }) => {
    assert.match(await refusalOf(await write(path, 'secret', mode)), 'by everybody');
  });
}

for (const text of ['', '\n', '\r\n']) {
  test(`are refused without a password: ${JSON.stringify(text)}`, async ({ path = '' }) => {
    assert.match(await refusalOf(await write(path, text)), 'is empty');
  });
}

test('have at most 4 KiB', async ({ path = '' }) => {
  const password = 'x'.repeat(4096);
  assert.is(await readPassword(await write(path, password)), password);
  assert.match(await refusalOf(await write(path, `${password}x`)), 'is too large');
});

test('are refused when they are pipes, without waiting for a writer', async ({ path = '' }) => {
  execFileSync('mkfifo', ['-m', '600', path]);
  try {
    assert.match(await deadline(10_000, refusalOf(path), 'the refusal'), 'not a regular file');
  } finally {
    // an open that waits would keep the process
    await using _writer = await open(path, 'r+');
  }
});

test.run();
