/** The last record of a service, with a `journalctl` of the test. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lastRecord } from '../../../../src/cli/systemd/last-record.ts';

const test = suite<{ directory: string; path: string | undefined }>('the last record of a service');

test.before(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-journalctl-'));
  context.path = process.env['PATH'];
  process.env['PATH'] = `${context.directory}:${context.path}`;
});

test.after(async ({ directory, path }) => {
  process.env['PATH'] = path;
  await rm(directory, { recursive: true, force: true });
});

/** `body` sees the number of the call in $n. */
async function journalctl(directory: string, body: string): Promise<void> {
  const calls = join(directory, 'calls');
  await rm(calls, { force: true });
  const count = `echo >>'${calls}'; n=$(wc -l <'${calls}')`;
  await writeFile(join(directory, 'journalctl'), `#!/bin/sh\n${count}\n${body}\n`, { mode: 0o755 });
}

test('is read again until journald has stored it', async ({ directory }) => {
  await journalctl(directory, '[ $n -lt 3 ] || echo "no key"');
  assert.is(await lastRecord('x.service', new Map()), 'no key');
});

test('is empty when there is none, or none that may be read', async ({ directory }) => {
  await journalctl(directory, 'echo "not permitted"; exit 1');
  assert.is(await lastRecord('x.service', new Map()), '');
});

test.run();
