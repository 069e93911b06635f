import * as assert from 'uvu/assert';
import type { Calls } from '../../../../../src/keys/pkcs11/host/calls.ts';
import { CkrError } from '../../../../../src/keys/pkcs11/host/failures.ts';
import { InlinePolicy } from '../../../../../src/keys/pkcs11/host/inline-policy.ts';
import { Session } from '../../../../../src/keys/pkcs11/host/session.ts';
import type { Handle } from '../../../../../src/keys/pkcs11/protocol/values.ts';
import { deadline } from '../../../../support/deadline.ts';
import { suite } from '../../../../support/timed-suite.ts';

const test = suite('a session with a token');
const mechanism = { mechanism: 1, parameter: undefined };
const key = Buffer.of(7);
const secret = Buffer.from('what the token answers');
const limits = { keyUseMs: 30, generationMs: 60 };

type Result = Buffer | `CKR_${string}` | 'never';

/** A policy that runs everything inline, as for a fast key. */
async function inlinePolicy(): Promise<InlinePolicy> {
  const policy = new InlinePolicy(() => 0);
  await policy.timeAsync(async () => undefined);
  assert.ok(policy.isInline);
  return policy;
}

/** A session of a library that returns these results, each like a token that fails late: in the buffer, too. */
function open(...results: readonly Result[]) {
  const buffers: { readonly input: Buffer; readonly output: Buffer }[] = [];
  const logins: string[] = [];
  let finish: () => void = () => undefined;
  const respond = (_session: Handle, input: Buffer, output: Buffer): Buffer => {
    const given = results[buffers.length] ?? 'CKR_GENERAL_ERROR';
    buffers.push({ input, output });
    secret.copy(output);
    if (typeof given === 'string') throw new CkrError(given, 'C_Sign');
    given.copy(output);
    return output.subarray(0, given.length);
  };
  const respondLater = async (...call: Parameters<typeof respond>): Promise<Buffer> => {
    if (results[buffers.length] !== 'never') return respond(...call);
    const [, input, output] = call;
    buffers.push({ input, output });
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    secret.copy(output);
    return output.subarray(0, secret.length);
  };
  const begin = () => undefined;
  const api = {
    C_SignInit: begin,
    C_DecryptInit: begin,
    C_EncryptInit: begin,
    C_Login: (_session: Handle, _type: number, pin: Buffer) => {
      logins.push(pin.toString());
      throw new CkrError('CKR_PIN_INCORRECT', 'C_Login');
    },
    C_Sign: respond,
    C_SignAsync: respondLater,
    C_DecryptAsync: respondLater,
    C_EncryptAsync: respondLater,
    C_GenerateKeyAsync: async () => new Promise<void>(() => undefined),
  };
  const session = new Session(api as unknown as Calls, Buffer.of(1), limits); // the calls of a session
  const sign = async (data = Buffer.from('m'), pin?: Buffer) =>
    session.sign({ mechanism, key, data, pin }, new InlinePolicy());
  const signInline = async () =>
    session.sign({ mechanism, key, data: Buffer.from('m'), pin: undefined }, await inlinePolicy());
  const decrypt = () =>
    session.decrypt({ mechanism, key, data: Buffer.from('sealed'), pin: undefined });
  return { session, buffers, logins, sign, signInline, decrypt, finish: () => finish() };
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
  for (const operation of ['decrypt', 'sign', 'signInline'] as const) {
    for (const results of cases) {
      const { buffers, session, [operation]: run } = open(...results);
      const works = results.at(-1) === secret;
      if (works) assert.equal(await run(), secret);
      else assert.match(await failureOf(run()), String(results.at(-1)));
      assert.is(buffers.length, results.length);
      assert.ok(
        buffers.every(({ output }) => isWiped(output)),
        `${operation}: ${results.join()}`,
      );
      assert.equal(session.held, []);
    }
  }
});

test('signs at once when the key is fast', async () => {
  const { session } = open(secret);
  const operation = { mechanism, key, data: Buffer.from('m'), pin: undefined };
  assert.equal(session.sign(operation, await inlinePolicy()), secret);
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
  const signed = failureOf(denied.sign(Buffer.from('m'), Buffer.from('1234')));
  assert.match(await signed, 'C_Login: CKR_PIN_INCORRECT');
  assert.ok(denied.session.broken);
  assert.equal(denied.logins, ['1234']);
  assert.is(denied.buffers.length, 0, 'nothing is signed without the login');
});

test('gives an empty message an address, without which tokens refuse it', async () => {
  const { sign, buffers } = open(secret);
  await sign(Buffer.alloc(0));
  const [{ input } = { input: Buffer.alloc(1) }] = buffers;
  assert.is(input.length, 0);
  assert.ok(input.buffer.byteLength > 0);
});

test('gives up a call that does not return, and keeps its buffers until it has', async () => {
  const { sign, session, buffers, finish } = open('never');
  assert.match(await failureOf(sign()), 'C_Sign has not returned');
  assert.ok(session.isStuck);
  const [{ input, output } = { input: key, output: key }] = buffers;
  assert.equal(session.held, [input, output]);
  finish();
  const wiped = async () => {
    while (session.held.length > 0) await new Promise(setImmediate);
  };
  await deadline(10_000, wiped(), 'the call to return');
  assert.ok(isWiped(output));
  assert.ok(session.isStuck);
});

test('waits longer for the generation of a key', async () => {
  const { session } = open();
  const startedAt = performance.now();
  assert.match(
    await failureOf(session.generateKey({ mechanism, key: [] })),
    'C_GenerateKey has not returned',
  );
  assert.ok(performance.now() - startedAt > limits.keyUseMs * 1.5);
  assert.ok(session.isStuck);
});

test.run();
