import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runCommand } from '../../../../support/command.ts';

const test = suite('a helper');
const { href } = new URL(
  '../../../../../src/certificates/issuers/command/helper-process.js',
  import.meta.url,
);

test('gets no descriptor that the service has inherited', async () => {
  const service = `
    import { runHelper } from ${JSON.stringify(href)};
    const command = ['/bin/ls', '/proc/self/fd'];
    const run = { command, environment: {}, timeoutMs: 5000 };
    const { output } = await runHelper(run, new AbortController().signal);
    console.log(output.toString().split('\\n').filter(Boolean).join());`;
  const inherit = ['-c', 'exec 97</dev/null; exec "$@"', 'bash', process.execPath];
  const { stdout } = await runCommand('bash', [...inherit, '--input-type=module', '-e', service]);
  // the last one is that of the listing
  assert.is(String(stdout).trim(), '0,1,2,3');
});

test.run();
