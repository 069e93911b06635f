import type { Handle, PKCS11 } from 'pkcs11js';
import * as assert from 'uvu/assert';
import { InlinePolicy } from '../../../../../src/keys/pkcs11/library/inline-policy.ts';
import { Session } from '../../../../../src/keys/pkcs11/library/session.ts';
import { suite } from '../../../../support/timed-suite.ts';

const test = suite('a session with a token');
const mechanism = { mechanism: 1 };
const key = Buffer.of(7);
const secret = Buffer.from('what the token answers');

type Result = Buffer | `CKR_${string}`;

/** A session of a library that returns these results, each like a token that fails late: in the buffer, in any letter case. */
function open(...results: readonly Result[]) {
  const buffers: { readonly input: Buffer; readonly output: Buffer }[] = [];
  const respond = (_session: Handle, input: Buffer, output: Buffer): Buffer => {
    const given = results[buffers.length] ?? 'CKR_GENERAL_ERROR';
    buffers.push({ input, output });
    secret.copy(output);
    if (typeof given === 'string') throw new Error(given);
    given.copy(output);
    return output.subarray(0, given.length);
  };
  const begin = () => undefined;
  const api = {
    C_SignInit: begin,
    C_DecryptInit: begin,
    C_EncryptInit: begin,
    C_SignAsync: async (...call: Parameters<typeof respond>) => respond(...call),
    C_DecryptAsync: async (...call: Parameters<typeof respond>) => respond(...call),
    C_EncryptAsync: async (...call: Parameters<typeof respond>) => respond(...call),
  };
  const session = new Session(api as unknown as PKCS11, Buffer.of(1)); // the methods that a session calls
  const sign = (data = Buffer.from('m'), login?: () => Promise<void>) =>
    session.sign({ mechanism, key, inline: new InlinePolicy(), login }, data);
  const decrypt = () => session.decrypt({ mechanism, key }, Buffer.from('sealed'));
  return { session, buffers, sign, decrypt };
}

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no failure',
    (error: unknown) => String(error),
  );
const isWiped = (bytes: Buffer) => bytes.every((byte) => byte === 0);

test('wipes the buffers of a call, whether it succeeded, was repeated or failed', async () => {
  const cases: readonly (readonly Result[])[] = [
    [secret],
    ['CKR_BUFFER_TOO_SMALL', secret],
    ['CKR_BUFFER_TOO_SMALL', 'CKR_DATA_INVALID'],
    ['CKR_ENCRYPTED_DATA_INVALID'],
  ];
  for (const results of cases) {
    const { decrypt, buffers, session } = open(...results);
    const works = results.at(-1) === secret;
    if (works) assert.equal(await decrypt(), secret);
    else assert.match(await failureOf(decrypt()), String(results.at(-1)));
    assert.is(buffers.length, results.length);
    assert.ok(
      buffers.every(({ output }) => isWiped(output)),
      results.join(),
    );
    assert.equal(session.held, []);
  }
  const { sign, buffers } = open(secret);
  assert.equal(await sign(), secret);
  assert.ok(
    buffers.every(({ output }) => isWiped(output)),
    'the MAC of a base key is a key',
  );
});

test('gives a second call a larger buffer, and is broken when that is too small', async () => {
  const small = open('CKR_BUFFER_TOO_SMALL', 'CKR_BUFFER_TOO_SMALL');
  assert.match(await failureOf(small.decrypt()), 'CKR_BUFFER_TOO_SMALL');
  const [first, second] = small.buffers.map(({ output }) => output.length);
  assert.ok((second ?? 0) > (first ?? 0));
  assert.ok(small.session.broken);
  const other = open('CKR_BUFFER_TOO_SMALL', 'CKR_DATA_INVALID');
  await failureOf(other.decrypt());
  assert.not(other.session.broken);
});

test('is broken when the operation that it began may still be active', async () => {
  const refused = open('CKR_ARGUMENTS_BAD');
  assert.match(await failureOf(refused.sign()), 'CKR_ARGUMENTS_BAD');
  assert.ok(refused.session.broken);
  const over = open('CKR_DATA_LEN_RANGE');
  assert.match(await failureOf(over.sign()), 'CKR_DATA_LEN_RANGE');
  assert.not(over.session.broken);
  const denied = open(secret);
  const login = () => Promise.reject(new Error('CKR_PIN_INCORRECT'));
  assert.match(await failureOf(denied.sign(Buffer.from('m'), login)), 'CKR_PIN_INCORRECT');
  assert.ok(denied.session.broken);
  assert.is(denied.buffers.length, 0, 'nothing is signed without the login');
});

test('gives an empty message an address, without which tokens refuse it', async () => {
  const { sign, buffers } = open(secret);
  await sign(Buffer.alloc(0));
  const [{ input } = { input: Buffer.alloc(1) }] = buffers;
  assert.is(input.length, 0);
  assert.ok(input.buffer.byteLength > 0);
});

test('finds every object, however many there are, and ends each search', () => {
  const total = [0, 3, 64, 65, 200];
  for (const count of total) {
    let left = count;
    let ends = 0;
    const api = {
      C_FindObjectsInit: () => undefined,
      C_FindObjects: (_session: Handle, most: number) => {
        const some = Math.min(most, left);
        left -= some;
        return Array.from({ length: some }, () => Buffer.of(1));
      },
      C_FindObjectsFinal: () => void ends++,
    };
    const session = new Session(api as unknown as PKCS11, Buffer.of(1)); // the methods that a search calls
    assert.is(session.find([]).length, count);
    assert.is(ends, 1);
    api.C_FindObjects = () => {
      throw new Error('CKR_DEVICE_ERROR');
    };
    assert.throws(() => session.find([]), 'CKR_DEVICE_ERROR');
    assert.is(ends, 2, 'a search that failed is over, too');
  }
});

test('treats an attribute as absent only where the object does not have or reveal it', () => {
  const api = (name: string) => ({
    C_GetAttributeValue: () => {
      throw new Error(name);
    },
  });
  const read = (name: string) =>
    new Session(api(name) as unknown as PKCS11, Buffer.of(1)).attribute(key, 1); // the only method that it calls
  assert.is(read('CKR_ATTRIBUTE_TYPE_INVALID'), undefined);
  assert.is(read('CKR_ATTRIBUTE_SENSITIVE'), undefined);
  for (const name of ['CKR_OBJECT_HANDLE_INVALID', 'CKR_DEVICE_ERROR', 'CKR_SESSION_CLOSED']) {
    assert.throws(() => read(name), name);
  }
});

test.run();
