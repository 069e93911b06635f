import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemAccounts } from '../../../src/service/accounts.ts';

const test = suite('accounts');

test('finds users and groups of this machine, and takes numbers as they are', async () => {
  for (const getent of [false, true]) {
    const accounts = new SystemAccounts({ getent });
    assert.is(await accounts.uid('root'), 0);
    assert.is(await accounts.gid('root'), 0);
    assert.is(await accounts.uid('12345'), 12345);
  }
});

test('knows nobody by a name that nobody has or that is no name', async () => {
  const accounts = new SystemAccounts({ getent: true });
  for (const name of ['no-such-user-here', '', '-h', 'root:x', '../root', 'a b']) {
    assert.is(await accounts.uid(name), undefined);
    assert.is(await accounts.gid(name), undefined);
  }
});

test.run();
