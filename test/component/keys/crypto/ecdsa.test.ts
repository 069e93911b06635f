import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const run = promisify(execFile);
const test = suite('signatures over digests');
const signing = fileURLToPath(new URL('../../../support/keys/many-signatures.js', import.meta.url));

test('never hang, however often the garbage collector runs while they are created', async () => {
  const count = 20_000;
  const args = ['--max-semi-space-size=1', signing, String(count)];
  const { stdout } = await run(process.execPath, args, { timeout: 180_000, killSignal: 'SIGKILL' });
  assert.is(stdout, String(count));
});

test.run();
