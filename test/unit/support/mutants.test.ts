import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runCommand } from '../../support/command.ts';

const test = suite('mutants');

test('replace texts that occur once, and name suites that exist', async () => {
  const runner = fileURLToPath(new URL('../../../../test/mutants/run.mjs', import.meta.url));
  const { code, stdout, stderr } = await runCommand(process.execPath, [runner, '--check']);
  assert.is(`${stdout.toString()}${stderr}`.replace(/^\d+ /, 'N '), 'N mutants can be applied\n');
  assert.is(code, 0);
});

test.run();
