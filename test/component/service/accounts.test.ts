import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemAccounts } from '../../../src/service/accounts.ts';

const test = suite('accounts');

test('finds users and groups of this machine, and accepts numbers as they are', async () => {
  for (const getent of [false, true]) {
    const accounts = new SystemAccounts({ getent });
    assert.is(await accounts.uid('root'), 0);
    assert.is(await accounts.gid('root'), 0);
    assert.is(await accounts.uid('12345'), 12345);
  }
});

test('finds no account for an unknown or invalid name', async () => {
  const accounts = new SystemAccounts({ getent: true });
  for (const name of ['no-such-user-here', '', '-h', 'root:x', '../root', 'a b']) {
    assert.is(await accounts.uid(name), undefined);
    assert.is(await accounts.gid(name), undefined);
  }
});

test('does not match the beginning of a name, nor a user as a group', async () => {
  const accounts = new SystemAccounts({ getent: false });
  assert.is(await accounts.uid('roo'), undefined);
  const names = async (file: string): Promise<readonly string[]> =>
    (await readFile(file, 'utf8')).split('\n').map((line) => line.split(':')[0] ?? '');
  const users = await names('/etc/passwd');
  const group = (await names('/etc/group')).find((name) => name !== '' && !users.includes(name));
  assert.ok(group);
  assert.type(await accounts.gid(group), 'number');
  assert.is(await accounts.uid(group), undefined);
});

test('refuses a number with more digits than a uid', async () => {
  const accounts = new SystemAccounts({ getent: false });
  assert.is(await accounts.uid('4294967295'), 4_294_967_295);
  for (const name of ['42949672950', '1x', '-1', '1.5'])
    assert.is(await accounts.uid(name), undefined);
});

/** A getent that reads from a directory service, and records its arguments. */
async function withDirectory(
  action: (recorded: () => Promise<string>) => Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'getent-'));
  const { PATH } = process.env;
  try {
    const notes = join(directory, 'notes');
    await writeFile(notes, '');
    const script = `#!/bin/sh
echo "$*" >>'${notes}'
case "$3" in odd) echo 'odd:x:nine:' ;; away) exit 2 ;; *) echo "$3:x:70$(echo $2 | wc -c):" ;; esac
`;
    await writeFile(join(directory, 'getent'), script);
    await chmod(join(directory, 'getent'), 0o755);
    process.env['PATH'] = `${directory}:${PATH}`;
    await action(() => readFile(notes, 'utf8'));
  } finally {
    process.env['PATH'] = PATH;
    await rm(directory, { recursive: true });
  }
}

test('queries getent for names that the files do not have, once for each', () =>
  withDirectory(async (recorded) => {
    const accounts = new SystemAccounts({ getent: true });
    assert.is(await accounts.uid('root'), 0);
    assert.is(await recorded(), '');
    assert.is(await accounts.uid('far'), 707);
    assert.is(await accounts.uid('far'), 707);
    assert.is(await accounts.gid('far'), 706);
    assert.is(await accounts.uid('odd'), undefined);
    assert.is(await accounts.uid('away'), undefined);
    for (const name of ['-h', 'a b', 'x:y', '12345']) await accounts.uid(name);
    const lines = ['passwd far', 'group far', 'passwd odd', 'passwd away'];
    assert.is(await recorded(), lines.map((line) => `-- ${line}\n`).join(''));
  }));

test('does not query getent where only the files are configured', () =>
  withDirectory(async (recorded) => {
    const accounts = new SystemAccounts({ getent: false });
    assert.is(await accounts.uid('far'), undefined);
    assert.is(await recorded(), '');
  }));

test.run();
