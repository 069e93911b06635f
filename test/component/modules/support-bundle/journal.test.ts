import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { journal, journalArguments } from '../../../../src/modules/support-bundle/journal.ts';
import { deadline, until } from '../../../support/deadline.ts';

interface Context {
  directory: string;
}

const test = suite<Context>('journal of a unit');
const range = { since: undefined, until: undefined };

test.before(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-journal-'));
});

test.after(async ({ directory }) => {
  await rm(directory, { recursive: true });
});

/** A program in the place of journalctl. */
async function program(directory: string, script: string): Promise<string> {
  const file = join(directory, `p${script.length}.sh`);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
  return file;
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all).toString();
}

test('is asked for by exact times', () => {
  const times = { since: new Date(1_700_000_000_250), until: new Date(1_700_000_001_000) };
  const [since, end] = journalArguments('iotedge-keys.service', times).slice(-2);
  assert.is(since, '--since=@1700000000.25');
  assert.is(end, '--until=@1700000001');
  const open = journalArguments('iotedge-keys.service', range);
  assert.is(open.at(-1), '--unit=iotedge-keys.service');
});

test('is the output of journalctl, then its complaint', async ({ directory }) => {
  const executable = await program(directory, 'echo "$@"; echo denied >&2');
  const { signal } = new AbortController();
  const text = await textOf(journal('iotedge-keys.service', range, { signal, executable }));
  assert.match(text, /--unit=iotedge-keys\.service\ndenied\n$/);
});

test('ends with a part of the complaint alone', async ({ directory }) => {
  const executable = await program(directory, 'head -c 5000 /dev/zero | tr "\\0" x >&2');
  const { signal } = new AbortController();
  const text = await textOf(journal('iotedge-keys.service', range, { signal, executable }));
  assert.is(text, 'x'.repeat(1024));
});

test('has a reason where there are no records', async ({ directory }) => {
  const executable = await program(directory, 'exit 0');
  const { signal } = new AbortController();
  const unit = 'iotedge-keys.service';
  const times = { since: new Date(1_700_000_000_000), until: undefined };
  const text = await textOf(journal(unit, times, { signal, executable }));
  assert.match(
    text,
    /^\(no records of iotedge-keys\.service since 2023-11-14T22:13:20\.000Z: it did/,
  );
});

test('says that there is no journalctl', async ({ directory }) => {
  const executable = join(directory, 'absent');
  const { signal } = new AbortController();
  const text = await deadline(10_000, textOf(journal('a', range, { signal, executable })), 'text');
  assert.match(text, /ENOENT/);
});

test('ends the process when its reader leaves', async ({ directory }) => {
  const executable = await program(directory, 'echo $$; exec sleep 20');
  const { signal } = new AbortController();
  const records = journal('a', range, { signal, executable });
  const pid = Number(String((await records.next()).value));
  await deadline(10_000, records.return(undefined), 'the end');
  await until(10_000, 'the end of the process', () => !isAlive(pid));
});

test('ends the process when the client leaves while it waits for it', async ({ directory }) => {
  const executable = await program(directory, 'echo $$; exec sleep 20.5');
  const abort = new AbortController();
  const records = journal('a', range, { signal: abort.signal, executable });
  const pid = Number(String((await records.next()).value));
  const next = records.next();
  abort.abort();
  await deadline(10_000, next, 'the end').then(
    () => assert.unreachable(),
    () => undefined,
  );
  await until(10_000, 'the end of the process', () => !isAlive(pid));
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test.run();
