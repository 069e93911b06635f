import { generateKeyPairSync } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { signDigest } from '../../../../../src/keys/crypto/ecdsa.ts';
import { Pkcs11Error } from '../../../../../src/keys/pkcs11/library/ckr.ts';
import type { TokenSessions } from '../../../../../src/keys/pkcs11/library/token-sessions.ts';
import { CKK } from '../../../../../src/keys/pkcs11/protocol/constants.ts';
import type { KeyOperation } from '../../../../../src/keys/pkcs11/protocol/operations.ts';
import { Proofs } from '../../../../../src/keys/pkcs11/reading/proofs.ts';

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

/** Sessions that sign as a token does, or fail with an error of its library; counts the calls. */
function sessionsThat(results: readonly ('signs' | `CKR_${string}`)[]) {
  const calls = { times: 0 };
  const signature = (data: Buffer): Buffer => {
    const result = results[calls.times++] ?? 'signs';
    if (result !== 'signs') throw new Pkcs11Error(result, 'C_Sign');
    return signDigest('ec-p256', pair.privateKey, data);
  };
  const made = { sign: async ({ data }: KeyOperation) => signature(data) };
  return { calls, sessions: made as unknown as TokenSessions }; // the only members in use
}

/** No key here requires a login for each operation. */
const token = {
  useWithPin: (): Promise<never> => {
    throw new Error('no login was expected');
  },
};

test('are retried later where the token could not sign, and not before', async () => {
  let now = 0;
  const proofs = new Proofs(
    () => false,
    () => now,
  );
  const { calls, sessions } = sessionsThat(['CKR_FUNCTION_FAILED']);
  const first = proofs.begin(1);
  first.choose(key, candidates);
  await first.complete(sessions, token);
  for (const at of [0, 5_000]) {
    now = at;
    const reading = proofs.begin(1);
    const { half: none, problem = '' } = reading.choose(key, candidates);
    assert.is(none, undefined);
    assert.match(problem, 'cannot be proven: CKR_FUNCTION_FAILED');
    assert.not(reading.isIncomplete);
  }
  now = 10_000;
  const later = proofs.begin(1);
  later.choose(key, candidates);
  assert.ok(later.isIncomplete);
  await later.complete(sessions, token);
  now = 100_000;
  const last = proofs.begin(1);
  assert.is(last.choose(key, candidates).half, half);
  assert.not(last.isIncomplete);
  assert.is(calls.times, 2);
});

test('are valid for the handles of one generation, and repeated for the next', async () => {
  const proofs = new Proofs(() => false);
  const { calls, sessions } = sessionsThat([]);
  for (const generation of [1, 1, 2]) {
    const reading = proofs.begin(generation);
    reading.choose(key, candidates);
    await reading.complete(sessions, token);
    assert.is(proofs.begin(generation).choose(key, candidates).half, half);
  }
  assert.is(calls.times, 2);
  assert.is(
    proofs.begin(3).choose(key, candidates).half,
    undefined,
    'the handle may be of another key now',
  );
});

test('are required where the token shows several public halves, even of a key that the service generated', async () => {
  const proofs = new Proofs(() => true);
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
  const wrong = { ...half, spki: other.export({ format: 'der', type: 'spki' }) };
  const one = proofs.begin(1);
  assert.is(one.choose(key, candidates).half, half, 'the only one');
  assert.not(one.isIncomplete);
  const { calls, sessions } = sessionsThat([]);
  const several = { halves: [wrong, half], isOther: false };
  for (const expected of [undefined, undefined, half]) {
    const reading = proofs.begin(1);
    assert.is(reading.choose(key, several).half, expected);
    await reading.complete(sessions, token);
  }
  assert.is(calls.times, 2, 'one for each of them');
  assert.is(proofs.begin(1).choose(key, { halves: [wrong], isOther: false }).half, wrong);
});

test('are required for keys of other origin with one public half, too', async () => {
  const proofs = new Proofs(() => false);
  const foreign = proofs.begin(1);
  assert.is(foreign.choose(key, candidates).half, undefined);
  assert.ok(foreign.isIncomplete);
  const certain = { halves: [{ ...half, isCertain: true }], isOther: false };
  const reading = proofs.begin(1);
  assert.ok(reading.choose(key, certain).half, 'unless the key itself says so');
  assert.not(reading.isIncomplete);
});

test('have no result where the session was lost meanwhile', async () => {
  const proofs = new Proofs(() => false);
  const { sessions } = sessionsThat(['CKR_SESSION_HANDLE_INVALID']);
  const first = proofs.begin(1);
  first.choose(key, candidates);
  const failed = first.complete(sessions, token).catch((error: unknown) => error);
  assert.match(String(await failed), 'CKR_SESSION_HANDLE_INVALID');
  const second = proofs.begin(1);
  second.choose(key, candidates);
  assert.ok(second.isIncomplete, 'it is tried again');
});

test('are signatures over unpredictable data', async () => {
  const signed: Buffer[] = [];
  const { sessions: inner } = sessionsThat([]);
  const sessions = {
    sign: (operation: KeyOperation) => {
      signed.push(operation.data);
      return inner.sign(operation);
    },
  } as unknown as TokenSessions; // the only members in use
  const proofs = new Proofs(() => false);
  for (const generation of [1, 2, 3]) {
    const reading = proofs.begin(generation);
    reading.choose(key, candidates);
    await reading.complete(sessions, token);
  }
  assert.is(new Set(signed.map((data) => data.toString('hex'))).size, 3);
});

test('of two readings at the same time do not get mixed up', async () => {
  const proofs = new Proofs(() => false);
  const { sessions } = sessionsThat([]);
  const one = proofs.begin(1);
  one.choose(key, candidates);
  const other = proofs.begin(1);
  assert.ok(one.isIncomplete);
  assert.not(other.isIncomplete);
  await one.complete(sessions, token);
  assert.is(other.choose(key, candidates).half, half);
});

test.run();
