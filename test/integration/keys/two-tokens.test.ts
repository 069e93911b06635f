/**
 * Recovery from what happens to tokens and sessions, on two tokens of two libraries at once: each recovers by itself,
 * and neither needs a restart of the service.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../support/deadline.ts';
import { failureOf, untilWorks } from '../../support/failure.ts';
import { keyIds, TwoLibraries } from '../../support/pkcs11/two-libraries.ts';

const test = suite<{ device: TwoLibraries }>('two tokens of two libraries');

test.before(async (context) => {
  context.device = await TwoLibraries.start();
});
test.after(({ device }) => device[Symbol.asyncDispose]());
test.before.each(async ({ device }) => {
  await Promise.all([device.signs('first'), device.signs('second')]);
});

const parts = ['first', 'second'] as const;

/** Runs an action for both tokens, at once. */
async function both(action: (name: 'first' | 'second') => Promise<void>): Promise<void> {
  await Promise.all(parts.map(action));
}

/** Errors that a call of a session may return at any time, with the function that returns them. */
const losses = {
  CKR_SESSION_HANDLE_INVALID: ['C_SignInit', 0xb3],
  CKR_SESSION_CLOSED: ['C_SignInit', 0xb0],
  CKR_OBJECT_HANDLE_INVALID: ['C_SignInit', 0x82],
  CKR_KEY_HANDLE_INVALID: ['C_SignInit', 0x60],
  CKR_USER_NOT_LOGGED_IN: ['C_SignInit', 0x101],
  CKR_BUFFER_TOO_SMALL: ['C_Sign', 0x150],
} as const;

for (const [name, [call, ckr]] of Object.entries(losses)) {
  test(`signs although ${call} returns ${name} once`, async ({ device }) => {
    const service = await device.pid();
    const children = await Promise.all(parts.map((part) => device.processOf(part)));
    await both((part) => device[part].library.misbehave(call, `return ${ckr} times 1`));
    await both(async (part) => assert.is(await device.sign(part), 'signed', part));
    await both((part) => device[part].library.behave());
    await both(async (part) => assert.is(await device.sign(part), 'signed', part));
    assert.is(await device.pid(), service);
    assert.equal(await Promise.all(parts.map((part) => device.processOf(part))), children);
  });
}

for (const [name, ckr] of Object.entries({
  CKR_DEVICE_ERROR: 0x30,
  CKR_DEVICE_REMOVED: 0x32,
  CKR_TOKEN_NOT_PRESENT: 0xe0,
  CKR_CRYPTOKI_NOT_INITIALIZED: 0x190,
  CKR_OPERATION_ACTIVE: 0x90,
})) {
  test(`recovers when all functions of a signature return ${name} for a while`, async ({
    device,
  }) => {
    for (const call of ['C_SignInit', 'C_FindObjectsInit', 'C_OpenSession', 'C_GetTokenInfo']) {
      await both((part) => device[part].library.misbehave(call, `return ${ckr}`));
    }
    await both(async (part) => assert.match(await device.sign(part), /^(Unavailable|Failed): /));
    assert.is(await device.sign('file'), 'signed');
    await both((part) => device[part].library.behave());
    await both((part) => device.signs(part));
  });
}

test('loses one token and uses the other', async ({ device }) => {
  for (const [gone, stays] of [parts, parts.toReversed()] as const) {
    if (gone === undefined || stays === undefined) throw new TypeError('there are two');
    await device[gone].token.remove();
    await until(20_000, 'the loss', async () =>
      (await device.sign(gone)).startsWith('Unavailable: '),
    );
    assert.is(await device.sign(stays), 'signed');
    await device[gone].token.insert();
    await device.signs(gone);
  }
});

test('recovers when both tokens are removed and inserted at once', async ({ device }) => {
  await both((part) => device[part].token.remove());
  await both((part) =>
    until(20_000, 'the loss', async () => (await device.sign(part)).startsWith('Unavailable: ')),
  );
  assert.is((await device.description()).health, 'degraded');
  assert.is(await device.sign('file'), 'signed');
  await both((part) => device[part].token.insert());
  await both((part) => device.signs(part));
  await until(20_000, 'Health', async () => (await device.description()).health === 'ok');
});

test('starts without both tokens', async ({ device }) => {
  await both((part) => device[part].token.remove());
  await device.rig.stop('keys');
  await both(async (part) => assert.match(await device.sign(part), /^Unavailable: /));
  assert.is(await device.sign('file'), 'signed');
  await both((part) => device[part].token.insert());
  await both((part) => device.signs(part));
});

test('uses a key that another process creates, and misses one that it deletes', async ({
  device,
}) => {
  await device.first.token.createKeyPair('foreign');
  const sign = { key_id: 'foreign', mechanism: 'ecdsa-sha256', data: Buffer.alloc(32) };
  await untilWorks('the new key', () => device.keys.Sign(sign));
  for (const type of ['privkey', 'pubkey'])
    await device.first.token.tool('--delete-object', '--type', type, '--label', 'foreign');
  await until(40_000, 'the key to be missed', async () => {
    const failure = await failureOf(device.keys.Sign(sign));
    assert.match(failure, /^(NotFound|Unavailable|no failure)$/);
    return failure === 'NotFound';
  });
  await both(async (part) => assert.is(await device.sign(part), 'signed'));
  assert.is((await device.keys.GetPublicKey({ key_id: keyIds.first })).spki.length > 0, true);
});

test('loses nothing of one library when the other crashes and loses its token together', async ({
  device,
}) => {
  const before = await device.processOf('second');
  await device.first.token.remove();
  await device.first.library.misbehave('C_SignInit', 'abort');
  assert.match(await device.sign('first'), /^Unavailable: /);
  assert.is(await device.sign('second'), 'signed');
  await device.first.library.behave();
  await device.first.token.insert();
  await device.signs('first');
  assert.is(await device.processOf('second'), before);
});

test('signs with both while other processes use both tokens', async ({ device }) => {
  const signing = async (part: 'first' | 'second'): Promise<void> => {
    for (let count = 0; count < 50; count++) assert.is(await device.sign(part), 'signed');
  };
  await both(async (part) => {
    const listing = async (): Promise<void> => {
      for (let count = 0; count < 5; count++) await device[part].token.tool('--list-objects');
    };
    await Promise.all([signing(part), signing(part), listing()]);
  });
});

test.run();
