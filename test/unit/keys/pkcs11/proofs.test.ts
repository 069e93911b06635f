import { generateKeyPairSync } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { signDigest } from '../../../../src/keys/crypto/ecdsa.ts';
import { CKK } from '../../../../src/keys/pkcs11/library/constants.ts';
import type { Session } from '../../../../src/keys/pkcs11/library/session.ts';
import { Proofs } from '../../../../src/keys/pkcs11/proofs.ts';

const test = suite('proofs');
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const half = {
  algorithm: 'ec-p256',
  spki: pair.publicKey.export({ format: 'der', type: 'spki' }),
  isCertain: false,
} as const;
const key = {
  handle: Buffer.of(1),
  label: 'key',
  ckaId: Buffer.of(1),
  keyType: CKK.EC,
  alwaysAuthenticate: false,
};
const candidates = { halves: [half], isOther: false };

/** A session that signs as a token does, or fails with an error of its library; counts the calls. */
function session(results: readonly ('signs' | `CKR_${string}`)[]) {
  const calls = { times: 0 };
  const signature = (data: Buffer): Buffer => {
    const result = results[calls.times++] ?? 'signs';
    if (result !== 'signs') throw new Error(result);
    return signDigest('ec-p256', pair.privateKey, data);
  };
  const made = { sign: (_operation: unknown, data: Buffer) => Promise.resolve(signature(data)) };
  return { calls, session: made as unknown as Session }; // the only members in use
}

const login = () => Promise.resolve();

test('are retried later where the token could not sign, and not before', async () => {
  let now = 0;
  const proofs = new Proofs(
    () => false,
    () => now,
  );
  const { calls, session: token } = session(['CKR_FUNCTION_FAILED']);
  proofs.begin(1);
  proofs.choose(key, candidates);
  await proofs.complete(token, login);
  for (const at of [0, 5_000]) {
    now = at;
    proofs.begin(1);
    const { half: none, problem = '' } = proofs.choose(key, candidates);
    assert.is(none, undefined);
    assert.match(problem, 'cannot be proven: CKR_FUNCTION_FAILED');
    assert.not(proofs.isIncomplete);
  }
  now = 10_000;
  proofs.begin(1);
  proofs.choose(key, candidates);
  assert.ok(proofs.isIncomplete);
  await proofs.complete(token, login);
  now = 100_000;
  proofs.begin(1);
  assert.is(proofs.choose(key, candidates).half, half);
  assert.not(proofs.isIncomplete);
  assert.is(calls.times, 2);
});

test('are valid for the handles of one generation, and repeated for the next', async () => {
  const proofs = new Proofs(() => false);
  const { calls, session: token } = session([]);
  for (const generation of [1, 1, 2]) {
    proofs.begin(generation);
    proofs.choose(key, candidates);
    await proofs.complete(token, login);
    proofs.begin(generation);
    assert.is(proofs.choose(key, candidates).half, half);
  }
  assert.is(calls.times, 2);
  proofs.begin(3);
  assert.is(proofs.choose(key, candidates).half, undefined, 'the handle may be of another key now');
});

test('are required where the token shows several public halves, even of a key that the service generated', async () => {
  const proofs = new Proofs(() => true);
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
  const wrong = { ...half, spki: other.export({ format: 'der', type: 'spki' }) };
  proofs.begin(1);
  assert.is(proofs.choose(key, candidates).half, half, 'the only one');
  assert.not(proofs.isIncomplete);
  const { calls, session: token } = session([]);
  const several = { halves: [wrong, half], isOther: false };
  for (const expected of [undefined, undefined, half]) {
    proofs.begin(1);
    assert.is(proofs.choose(key, several).half, expected);
    await proofs.complete(token, login);
  }
  assert.is(calls.times, 2, 'one for each of them');
  proofs.begin(1);
  assert.is(proofs.choose(key, { halves: [wrong], isOther: false }).half, wrong);
});

test('are required for keys of other origin with one public half, too', async () => {
  const proofs = new Proofs(() => false);
  proofs.begin(1);
  assert.is(proofs.choose(key, candidates).half, undefined);
  assert.ok(proofs.isIncomplete);
  const certain = { halves: [{ ...half, isCertain: true }], isOther: false };
  proofs.begin(1);
  assert.ok(proofs.choose(key, certain).half, 'unless the key itself says so');
  assert.not(proofs.isIncomplete);
});

test('have no result where the session was lost meanwhile', async () => {
  const proofs = new Proofs(() => false);
  const { session: token } = session(['CKR_SESSION_HANDLE_INVALID']);
  proofs.begin(1);
  proofs.choose(key, candidates);
  const failure: unknown = await proofs.complete(token, login).catch((error: unknown) => error);
  assert.match(String(failure), 'CKR_SESSION_HANDLE_INVALID');
  proofs.begin(1);
  proofs.choose(key, candidates);
  assert.ok(proofs.isIncomplete, 'it is tried again');
});

test('are signatures over unpredictable data', async () => {
  const signed: Buffer[] = [];
  const { session: inner } = session([]);
  const token = {
    sign: (...call: Parameters<Session['sign']>) => {
      signed.push(call[1]);
      return inner.sign(...call);
    },
  } as unknown as Session; // the only members in use
  const proofs = new Proofs(() => false);
  for (const generation of [1, 2, 3]) {
    proofs.begin(generation);
    proofs.choose(key, candidates);
    await proofs.complete(token, login);
  }
  assert.is(new Set(signed.map((data) => data.toString('hex'))).size, 3);
});

test.run();
