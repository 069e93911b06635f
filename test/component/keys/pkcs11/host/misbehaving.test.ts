/** The process that owns a library which is slow, hangs or returns nonsense. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { CKA, CKM, CKO } from '../../../../../src/keys/pkcs11/protocol/constants.ts';
import { operations } from '../../../../../src/keys/pkcs11/protocol/operations.ts';
import { deadline, until } from '../../../../support/deadline.ts';
import { SoftToken, userPin } from '../../../../support/keys/soft-token.ts';
import { HostProcess } from '../../../../support/library/host-process.ts';
import { ShimLibrary } from '../../../../support/pkcs11/shim-library.ts';
import { suite } from '../../../../support/timed-suite.ts';

const test = suite('the process that owns a library which misbehaves');
const privateKeys = { template: [{ type: CKA.CLASS, value: CKO.PRIVATE_KEY }], attributes: [] };

/** A process with the library, a pool of up to `limit` sessions that is logged in, and a signature with its key. */
async function open({ limit = 4 } = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-shims-'));
  const token = await SoftToken.create();
  await token.login('--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'ec');
  const configuration = join(token.directory, 'softhsm2.conf');
  const library = await ShimLibrary.create(directory, 'first', { configuration });
  process.env['PKCS11_SHIM'] = directory;
  const host = await HostProcess.load(library.path);
  const [found] = await host.call(operations.tokens, undefined);
  assert.ok(found);
  const pool = await host.call(operations.open, { slot: found.slot, isWritable: true, limit });
  await host.call(operations.login, { pool, pin: Buffer.from(userPin) });
  const [[object] = []] = await host.call(operations.find, { pool, queries: [privateKeys] });
  assert.ok(object);
  const mechanism = { mechanism: CKM.ECDSA };
  const use = { pool, key: object.handle, mechanism, data: Buffer.alloc(32, 1), pin: undefined };
  const sign = () => host.call(operations.sign, use);
  const dispose = async () => {
    await host[Symbol.asyncDispose]();
    await token[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  };
  return { library, host, pool, slot: found.slot, use, sign, [Symbol.asyncDispose]: dispose };
}

test('replies to others, and shows that it lives, while a key is slow', async () => {
  await using opened = await open();
  const { library, host, pool, sign } = opened;
  await library.misbehave('C_Sign', 'sleep 6000');
  const signature = sign();
  await deadline(1_000, host.call(operations.isUser, { pool }), 'another session');
  assert.is((await signature).length, 64);
  assert.is(host.alive, 1);
});

test('shows that it lives between calls that block it, and replies before them', async () => {
  await using opened = await open();
  const { library, host, pool, use } = opened;
  const fail = () => host.failure(operations.sign, { ...use, pool: 99 });
  // then it is fast enough for its reply to be gathered with others
  for (let count = 0; count < 200; count++) await fail();
  await library.misbehave('C_FindObjectsInit', 'sleep 1200');
  host.socket.cork();
  const closed = fail();
  const found = host.call(operations.find, { pool, queries: [privateKeys, privateKeys] });
  host.socket.uncork();
  const [failure, objects] = await Promise.all([deadline(1_000, closed, 'the failure'), found]);
  assert.equal(failure, { kind: 'lost' });
  assert.is(objects.length, 2);
  assert.ok(host.alive >= 1, `${host.alive}`);
});

test('ends with its connection while a call is running', async () => {
  await using opened = await open();
  const { library, host, sign } = opened;
  await library.misbehave('C_Sign', 'sleep 6000');
  const lost = sign().catch((error: unknown) => String(error));
  await until(10_000, 'the call', async () => (await library.calls('C_Sign')) === 1);
  host.socket.end();
  assert.is(await deadline(1_000, host.exit(), 'its end'), 'SIGKILL');
  assert.match(String(await lost), 'has ended');
});

test('logs in once, and takes a token at its word that it is logged in', async () => {
  await using opened = await open();
  const { library, host, pool, slot } = opened;
  const pin = Buffer.from(userPin);
  await host.call(operations.login, { pool, pin });
  assert.is(await library.calls('C_Login'), 1);
  await host.call(operations.restart, undefined);
  const again = await host.call(operations.open, { slot, isWritable: true, limit: 1 });
  // CKR_USER_ALREADY_LOGGED_IN
  await library.misbehave('C_Login', `return ${0x100}`);
  await host.call(operations.login, { pool: again, pin });
  assert.is(await library.calls('C_Login'), 2);
});

test('refuses results of an impossible length', async () => {
  await using opened = await open();
  const { library, host, pool, sign } = opened;
  for (const what of ['length 5000', 'length 0', 'length 4294967296']) {
    for (const attempt of ['on a thread', 'inline']) {
      await library.misbehave('C_Sign', what);
      const failure = await sign().catch((error: unknown) => String(error));
      assert.match(String(failure), 'impossible length', `${what} ${attempt}`);
      await library.behave();
      for (let count = 0; count < 20; count++) await sign();
    }
  }
  await library.misbehave('C_GetAttributeValue', 'length 2000000');
  const queries = [{ ...privateKeys, attributes: [CKA.LABEL] }];
  const [[object] = []] = await host.call(operations.find, { pool, queries });
  assert.equal(object?.values, [undefined]);
});

test.run();
