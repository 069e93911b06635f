import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { PKCS11 } from 'pkcs11js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type KeyId, parseKeyId } from '../../../../src/ids.ts';
import { parseMaterial } from '../../../../src/keys/material/material.ts';
import { parseSignMechanism, parseSignRequest } from '../../../../src/keys/mechanism.ts';
import { PinGuard } from '../../../../src/keys/pkcs11/library/pin-guard.ts';
import { CKA, CKF, CKO } from '../../../../src/keys/pkcs11/protocol/constants.ts';
import { operations } from '../../../../src/keys/pkcs11/protocol/operations.ts';
import { openTokenKeyRecords } from '../../../../src/keys/pkcs11/records.ts';
import { Pkcs11Store, type Pkcs11StoreOptions } from '../../../../src/keys/pkcs11/store.ts';
import type { KeyAttributes, KeyInfo, Listing } from '../../../../src/keys/store.ts';
import { deadline, soon, until } from '../../../support/deadline.ts';
import { failureOf, noFailure, untilWorks } from '../../../support/failure.ts';
import {
  forSigning,
  infoIn,
  keyStoreContract,
  withKey,
} from '../../../support/keys/key-store-contract.ts';
import { SoftToken, softhsmPath, userPin } from '../../../support/keys/soft-token.ts';
import { InProcessLibrary } from '../../../support/library/in-process-library.ts';

/** A token and a store over it, all removed at the end. */
class Rig implements AsyncDisposable {
  readonly token: SoftToken;
  readonly library = new InProcessLibrary(softhsmPath);
  readonly #stores: Pkcs11Store[] = [];

  constructor(token: SoftToken) {
    this.token = token;
  }

  static async start(): Promise<Rig> {
    return new Rig(await SoftToken.create());
  }

  async open(options: Partial<Pkcs11StoreOptions> & { pin?: string } = {}): Promise<Pkcs11Store> {
    const records = await openTokenKeyRecords(join(this.token.directory, 'records'));
    const store = new Pkcs11Store({
      base: this.address(options.pin),
      preloaded: new Map(),
      usages: new Map(),
      records,
      guard: await PinGuard.open(join(this.token.directory, 'refused-pins')),
      ...options,
    });
    this.#stores.push(store);
    return store;
  }

  address(pin = userPin): NonNullable<Pkcs11StoreOptions['base']> {
    const { library } = this;
    return { library, selector: { slotId: 0 }, pin: { kind: 'value', value: pin } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const store of this.#stores) await store[Symbol.asyncDispose]();
    await this.library[Symbol.asyncDispose]();
    await this.token[Symbol.asyncDispose]();
  }
}

const id = parseKeyId('device-id');
const signP256 = parseSignRequest(parseSignMechanism('ecdsa-sha256'), randomBytes(32), true);

function show({ keys }: { readonly keys: readonly KeyInfo[] }): readonly string[] {
  return keys.map(
    (key) => `${key.id} ${key.origin} ${key.algorithm} ${key.usages.join()} ${key.state}`,
  );
}

const test = suite('Pkcs11Store');

test('creates keys that are sensitive, never extractable and local, with the named usages only', async () => {
  await using rig = await Rig.start();
  const store = await rig.open();
  await store.createPair(id, ['ec-p256'], forSigning, soon());
  await store.createSymmetric(parseKeyId('mac'), 'hmac-sha256', forSigning, soon());
  const objects = await rig.token.login('--list-objects');
  const privates = objects.split(/\n(?=\S)/).filter((text) => !text.startsWith('Public'));
  for (const text of privates.filter((object) => /Private|Secret/.test(object))) {
    assert.match(text, /Access: +sensitive, always sensitive, never extractable, local/);
    assert.match(text, /Usage: +(sign|verify|sign, verify)\s/);
  }
  assert.is(privates.filter((object) => /^(Private|Secret)/.test(object)).length, 2);
  const { api } = rig.library;
  const session = api.C_OpenSession(Buffer.alloc(8), CKF.SERIAL_SESSION);
  for (const objectClass of [CKO.PRIVATE_KEY, CKO.SECRET_KEY]) {
    api.C_FindObjectsInit(session, [{ type: CKA.CLASS, value: objectClass }]);
    const [key] = api.C_FindObjects(session, 1);
    api.C_FindObjectsFinal(session);
    const read = () => api.C_GetAttributeValue(session, key ?? session, [{ type: CKA.VALUE }]);
    assert.throws(read, 'CKR_ATTRIBUTE_SENSITIVE');
  }
});

test('creates a pair without usages of the public half where the token refuses them', async () => {
  await using rig = await Rig.start();
  await rig.library.ready();
  const { api } = rig.library;
  const generate = api.C_GenerateKeyPairAsync.bind(api);
  let refused = 0;
  // as tpm2-pkcs11 does
  api.C_GenerateKeyPairAsync = async (session, mechanism, publicKey, privateKey) => {
    if (publicKey?.some(({ type }) => type === CKA.VERIFY) !== true) {
      return generate(session, mechanism, publicKey, privateKey);
    }
    refused++;
    throw new Error('CKR_GENERAL_ERROR:5');
  };
  const store = await rig.open();
  const made = await store.createPair(id, ['ec-p256'], forSigning, soon());
  assert.equal([made.state, made.algorithm, refused], ['ok', 'ec-p256', 1]);
  const objects = await rig.token.login('--list-objects', '--type', 'privkey');
  assert.match(objects, /Access: +sensitive, always sensitive, never extractable, local/);
  assert.match(objects, /Usage: +sign\s/);
  await withKey(store, id, (key) => key.sign(signP256, soon()));
  assert.is((await store.list(soon())).keys.length, 1);
});

test('refuses to create an exportable key', async () => {
  await using rig = await Rig.start();
  const store = await rig.open();
  const attributes = { ...forSigning, exportable: true };
  assert.is(await failureOf(store.createPair(id, ['ec-p256'], attributes, soon())), 'NotSupported');
  await store.createPair(id, ['ec-p256'], forSigning, soon());
  assert.is(await failureOf(withKey(store, id, (key) => key.export(soon()))), 'NotSupported');
});

test('tries a wrong PIN exactly once', async () => {
  await using rig = await Rig.start();
  const api = await rig.library.ready().then(() => rig.library.api);
  let attempts = 0;
  const login = api.C_Login.bind(api);
  api.C_Login = (...args) => {
    attempts++;
    login(...args);
  };
  const store = await rig.open({ pin: 'wrong' });
  for (let i = 0; i < 3; i++) {
    assert.is(
      await failureOf(withKey(store, id, (key) => key.sign(signP256, soon()))),
      'Unavailable',
    );
    assert.is(
      await failureOf(store.createPair(id, ['ec-p256'], forSigning, soon())),
      'Unavailable',
    );
    const { failure } = await store.list(soon());
    assert.match(failure?.message ?? '', 'CKR_PIN_INCORRECT');
    assert.not.match(failure?.message ?? '', 'wrong');
  }
  // another store over the same token in this process, after the pause between attempts
  const other = await rig.open({ pin: 'wrong' });
  assert.is(await failureOf(infoIn(other, id)), 'Unavailable');
  assert.is(attempts, 1);
});

test('is Unavailable for everything while the token is removed, and works when it is back', async () => {
  await using rig = await Rig.start();
  const store = await rig.open();
  const made = await store.createPair(id, ['ec-p256'], forSigning, soon());
  await rig.token.remove();
  assert.is(
    await failureOf(withKey(store, id, (key) => key.sign(signP256, soon()))),
    'Unavailable',
  );
  const other = parseKeyId('other');
  assert.is(
    await failureOf(store.createPair(other, ['ec-p256'], forSigning, soon())),
    'Unavailable',
  );
  assert.is(await failureOf(infoIn(store, other)), 'Unavailable');
  assert.is(await failureOf(withKey(store, id, (key) => key.delete(soon()))), 'Unavailable');
  const away = await store.list(soon());
  assert.equal(show(away), ['device-id generated ec-p256 sign unavailable']);
  assert.is(away.failure?.code, 'Unavailable');
  await rig.token.insert();
  await untilWorks('a signature', () => withKey(store, id, (key) => key.sign(signP256, soon())));
  const back = await store.list(soon());
  assert.equal(show(back), ['device-id generated ec-p256 sign ok']);
  assert.equal(back.keys[0]?.spki, made.spki);
});

test('finds a token that appears after the service started', async () => {
  await using rig = await Rig.start();
  await rig.token.login('--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'device-id');
  await rig.token.remove();
  const store = await rig.open();
  assert.is(await failureOf(infoIn(store, id)), 'Unavailable');
  assert.equal((await store.list(soon())).keys, []);
  await rig.token.insert();
  await untilWorks('a signature', () => withKey(store, id, (key) => key.sign(signP256, soon())));
});

test('is Unavailable for a library that cannot be loaded', async () => {
  await using rig = await Rig.start();
  const library = new InProcessLibrary('/nonexistent/library.so');
  const store = await rig.open({ base: { ...rig.address(), library } });
  assert.is(
    await failureOf(withKey(store, id, (key) => key.sign(signP256, soon()))),
    'Unavailable',
  );
  assert.is((await store.list(soon())).failure?.code, 'Unavailable');
});

test('recovers from lost sessions and logins', async () => {
  await using rig = await Rig.start();
  const store = await rig.open();
  await store.createPair(id, ['ec-p256'], forSigning, soon());
  const { api } = rig.library;
  const slot = Buffer.alloc(8);
  api.C_CloseAllSessions(slot);
  await withKey(store, id, (key) => key.sign(signP256, soon()));
  const session = api.C_OpenSession(slot, 4);
  api.C_Logout(session);
  await withKey(store, id, (key) => key.sign(signP256, soon()));
  api.C_Finalize();
  await withKey(store, id, (key) => key.sign(signP256, soon()));
  await Promise.all(
    Array.from({ length: 20 }, () => withKey(store, id, (key) => key.sign(signP256, soon()))),
  );
});

test('detects keys that another process creates and removes', async () => {
  await using rig = await Rig.start();
  const store = await rig.open();
  assert.is(await infoIn(store, id), undefined);
  const named = ['--label', 'device-id', '--id', '01'];
  await rig.token.login('--keypairgen', '--key-type', 'EC:prime256v1', ...named);
  assert.is((await infoIn(store, id))?.origin, 'foreign');
  await withKey(store, id, (key) => key.sign(signP256, soon()));
  await rig.token.login('--delete-object', '--type', 'privkey', ...named);
  assert.is(await failureOf(withKey(store, id, (key) => key.sign(signP256, soon()))), 'NotFound');
  assert.equal((await store.list(soon())).keys, []);
});

test('offers foreign keys by the rules and lists the rest with the reason', async () => {
  await using rig = await Rig.start();
  const generate = async (label: string, ckaId: string, type = 'EC:prime256v1') =>
    await rig.token.login('--keypairgen', '--key-type', type, '--label', label, '--id', ckaId);
  await generate('good', '01');
  await generate('twice', '02');
  await generate('twice', '03');
  await generate('not an id', '04');
  await generate('small', '05', 'rsa:1024');
  await generate('device id', '06');
  await generate('device-ca', '07');
  await generate('the ca', '08');
  const token = rig.address();
  const store = await rig.open({
    preloaded: new Map([
      [id, { token, selector: { object: 'device id' } }],
      [parseKeyId('device-ca'), { token, selector: { object: 'the ca' } }],
      [parseKeyId('ambiguous'), { token, selector: { object: 'twice' } }],
      [parseKeyId('missing'), { token, selector: { object: 'nothing' } }],
    ]),
  });
  const listing = await store.list(soon());
  assert.equal(show(listing).toSorted(), [
    'ambiguous preloaded undefined  unavailable',
    'device-ca preloaded ec-p256 sign ok',
    'device-id preloaded ec-p256 sign ok',
    'good foreign ec-p256 sign ok',
    'missing preloaded undefined  unavailable',
  ]);
  assert.equal(listing.ignored.map(({ label }) => label).toSorted(), [
    'device id',
    'device-ca',
    'not an id',
    'small',
    'the ca',
    'twice',
  ]);
  assert.is(
    await failureOf(withKey(store, parseKeyId('ambiguous'), (key) => key.sign(signP256, soon()))),
    'Unavailable',
  );
  assert.is(await failureOf(withKey(store, id, (key) => key.delete(soon()))), 'NotSupported');
  assert.is(
    await failureOf(withKey(store, parseKeyId('twice'), (key) => key.sign(signP256, soon()))),
    'NotFound',
  );
  const over = store.createPair(parseKeyId('twice'), ['ec-p256'], forSigning, soon());
  assert.is(await failureOf(over), 'AlreadyExists');
});

test('uses the configured usages of a preloaded key', async () => {
  await using rig = await Rig.start();
  const first = await rig.open();
  const bytes = randomBytes(32);
  await first.importKey(id, parseMaterial('raw', bytes, 'hmac-sha256'), forSigning, soon());
  const preloaded = parseKeyId('base');
  const store = await rig.open({
    preloaded: new Map([[preloaded, { token: rig.address(), selector: { object: 'device-id' } }]]),
    usages: new Map([[preloaded, ['sign', 'derive']]]),
  });
  assert.equal((await infoIn(store, preloaded))?.usages, ['sign', 'derive']);
  const pair = parseKeyId('pair');
  await first.createPair(pair, ['ec-p256'], forSigning, soon());
  const wrong = await rig.open({
    preloaded: new Map([
      [parseKeyId('pair-base'), { token: rig.address(), selector: { object: 'pair' } }],
    ]),
    usages: new Map([[parseKeyId('pair-base'), ['sign', 'derive']]]),
  });
  const refused = await infoIn(wrong, parseKeyId('pair-base'));
  assert.equal([refused?.state, refused?.usages], ['unavailable', ['sign', 'derive']]);
  await withKey(first, pair, (key) => key.delete(soon()));
  assert.equal(
    (await store.list(soon())).keys.map((key): KeyId => key.id),
    [preloaded],
  );
});

test('never uses a base key directly when its record is lost', async () => {
  await using rig = await Rig.start();
  const first = await rig.open();
  const base: KeyAttributes = { ...forSigning, usages: ['sign', 'derive'] };
  const mac = parseSignRequest(parseSignMechanism('hmac-sha256'), Buffer.from('derivation'), false);
  const made = await first.createSymmetric(id, 'hmac-sha256', base, soon());
  const imported = parseKeyId('imported');
  const material = parseMaterial('raw', randomBytes(32), 'aes-256');
  await first.importKey(imported, material, { ...base, usages: ['encrypt', 'derive'] }, soon());
  await first.createSymmetric(parseKeyId('plain'), 'hmac-sha256', forSigning, soon());
  await rm(join(rig.token.directory, 'records'), { recursive: true });

  const preloaded = parseKeyId('preloaded');
  const named = { token: rig.address(), selector: { object: 'device-id' } };
  const second = await rig.open();
  assert.equal(show(await second.list(soon())).toSorted(), [
    'device-id foreign hmac-sha256 sign damaged',
    'imported foreign hmac-sha256 sign damaged',
    'plain foreign hmac-sha256 sign ok',
  ]);
  const third = await rig.open({ preloaded: new Map([[preloaded, named]]) });
  for (const [store, key] of [
    [second, id],
    [second, imported],
    [third, preloaded],
  ] as const) {
    assert.is((await infoIn(store, key))?.state, 'damaged');
    assert.is(await failureOf(withKey(store, key, (key) => key.sign(mac, soon()))), 'Unavailable');
  }
  const over = second.importKey(id, material, forSigning, soon());
  assert.is(await failureOf(over), 'AlreadyExists');

  const fourth = await rig.open({ usages: new Map([[id, made.usages]]) });
  const info = await infoIn(fourth, id);
  assert.equal([info?.state, info?.usages], ['ok', ['sign', 'derive']]);
  await withKey(second, id, (key) => key.delete(soon()));
  await second.createSymmetric(id, 'hmac-sha256', base, soon());
});

test('logs in with the PIN that any setting defines for the token', async () => {
  await using rig = await Rig.start();
  await rig.token.login('--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'named');
  const store = await rig.open({
    base: { ...rig.address(), pin: undefined },
    preloaded: new Map([[id, { token: rig.address(), selector: { object: 'named' } }]]),
  });
  await store.createPair(parseKeyId('made'), ['ec-p256'], forSigning, soon());
  await withKey(store, id, (key) => key.sign(signP256, soon()));
});

test('completes or rolls back an interrupted change', async () => {
  await using rig = await Rig.start();
  const directory = join(rig.token.directory, 'records');
  const first = await rig.open();
  const old = await first.createPair(id, ['ec-p256'], forSigning, soon());
  const records = await openTokenKeyRecords(directory);
  const previous = records.get(id);
  assert.ok(previous);
  // the pending replacement was recorded, and nothing was created
  const pending = { replaces: previous.ckaId, previous };
  await records.put(id, { ...previous, ckaId: 'aa'.repeat(16), origin: 'imported', pending });
  const second = await rig.open();
  assert.equal((await infoIn(second, id))?.spki, old.spki);
  const rolledBack = (await second.list(soon())).keys;
  assert.equal([rolledBack[0]?.origin, rolledBack[0]?.spki], ['generated', old.spki]);

  // the new key is in the token, and the old one too
  const named = ['--label', 'device-id', '--id', 'bb'.repeat(16)];
  await rig.token.login('--keypairgen', '--key-type', 'EC:secp384r1', ...named);
  await records.put(id, { ...previous, ckaId: 'bb'.repeat(16), origin: 'imported', pending });
  const third = await rig.open();
  const finished = await third.list(soon());
  assert.equal(show(finished), ['device-id imported ec-p384 sign ok']);
  assert.not.match(await rig.token.login('--list-objects'), previous.ckaId);
});

/** Replaces the generation of pairs in a token; returns how many ran at the same time at most. */
function aroundGeneration(api: PKCS11, before: () => Promise<void>): () => number {
  const generate = api.C_GenerateKeyPairAsync.bind(api);
  let running = 0;
  let most = 0;
  api.C_GenerateKeyPairAsync = async (...args) => {
    most = Math.max(most, ++running);
    try {
      await before();
      return await generate(...args);
    } finally {
      running--;
    }
  };
  return () => most;
}

test('changes a token one change after the other, whether one fails or its caller leaves', async () => {
  await using rig = await Rig.start();
  await rig.library.ready();
  let calls = 0;
  const maxConcurrent = aroundGeneration(rig.library.api, async () => {
    if (++calls === 1) throw new Error('CKR_DEVICE_MEMORY:49');
  });
  const store = await rig.open();
  const leaving = new AbortController();
  const create = (name: string, signal = soon()) =>
    store.createPair(parseKeyId(name), ['ec-p256'], forSigning, signal);
  const failing = failureOf(create('failing'));
  // on a busy machine it is cancelled before its key is read, or made
  const abandoned = failureOf(create('abandoned', leaving.signal));
  const last = create('last');
  leaving.abort();
  assert.is(await failing, 'Unavailable');
  await last;
  const outcome = await abandoned;
  assert.ok([noFailure, 'Cancelled'].includes(outcome), outcome);
  assert.is(maxConcurrent(), 1);
  const listed = show(await store.list(soon())).toSorted();
  const hasAbandoned = outcome === noFailure || listed.length > 1;
  assert.equal(listed, [
    ...(hasAbandoned ? ['abandoned generated ec-p256 sign ok'] : []),
    'last generated ec-p256 sign ok',
  ]);
});

test('lists its keys beside a change without taking it back', async () => {
  await using rig = await Rig.start();
  await rig.library.ready();
  const store = await rig.open();
  const listings: Listing[] = [];
  let records: readonly string[] = [];
  aroundGeneration(rig.library.api, async () => {
    listings.push(await deadline(10_000, store.list(soon()), 'the listing'));
    records = await readdir(join(rig.token.directory, 'records'));
  });
  await store.createPair(id, ['ec-p256'], forSigning, soon());
  assert.equal(listings.map(show), [[]]);
  assert.is(records.length, 1, 'the record of the change');
  assert.equal(show(await store.list(soon())), ['device-id generated ec-p256 sign ok']);
});

test('lists its keys beside look-ups, which change nothing', async () => {
  await using rig = await Rig.start();
  const store = await rig.open();
  await store.createPair(id, ['ec-p256'], forSigning, soon());
  let isListing = true;
  const lookUp = async (): Promise<void> => {
    while (isListing) await store.get(parseKeyId('unknown'), soon());
  };
  const lookUps = [lookUp(), lookUp()];
  rig.library.before = () => sleep(2);
  const { failure, keys } = await store.list(soon());
  isListing = false;
  await Promise.all(lookUps);
  assert.is(failure, undefined);
  assert.equal(
    keys.map(({ state }) => state),
    ['ok'],
  );
});

/** Holds up the first confirmation that a key is absent, after the token was read. */
function holdFirst(rig: Rig): { readonly isHeld: () => boolean; readonly end: () => void } {
  let end = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    end = resolve;
  });
  let isHeld = false;
  rig.library.before = (operation) => {
    if (isHeld || operation !== operations.isUser.number) return undefined;
    isHeld = true;
    return held;
  };
  return { isHeld: () => isHeld, end: () => end() };
}

test('knows a key that was made while an earlier look-up found none', async () => {
  await using rig = await Rig.start();
  const store = await rig.open();
  await store.list(soon());
  const hold = holdFirst(rig);
  const early = store.get(id, soon());
  await until(10_000, 'the look-up', () => hold.isHeld());
  await store.createPair(id, ['ec-p256'], forSigning, soon());
  hold.end();
  assert.ok(await early, 'the key that there is now');
  assert.ok(store.knows(id));
});

test('does not know a key again that was deleted while an earlier look-up found it', async () => {
  await using rig = await Rig.start();
  const store = await rig.open();
  await store.createPair(id, ['ec-p256'], forSigning, soon());
  const listing = store.list(soon());
  const hold = holdFirst(rig);
  await until(10_000, 'the listing', () => hold.isHeld());
  await withKey(store, id, (key) => key.delete(soon()));
  hold.end();
  await listing;
  assert.not(store.knows(id));
});

test('stops waiting for its turn when the caller leaves', async () => {
  await using rig = await Rig.start();
  const store = await rig.open();
  await store.createPair(id, ['rsa-2048'], forSigning, soon());
  const rsa = parseSignRequest(parseSignMechanism('rsa-pss-sha256'), Buffer.alloc(32), true);
  // what the process of the library gets at a time; as many that leave would stall whoever comes after them
  const atOnce = 16;
  const signed = (signal: AbortSignal) => withKey(store, id, (key) => key.sign(rsa, signal));
  const staying = Array.from({ length: atOnce }, () => signed(soon()));
  // each with a signal of its own, as the callers of the service have
  const leaving = Array.from({ length: atOnce }, () => new AbortController());
  const left = leaving.map((caller) => signed(caller.signal));
  staying.push(signed(soon()));
  await setImmediate(); // until all of them wait
  for (const caller of leaving) caller.abort();
  for (const failure of left.map(failureOf)) assert.is(await failure, 'Cancelled');
  await Promise.all(staying);
});

test.run();

keyStoreContract('Pkcs11Store', async () => {
  const rig = await Rig.start();
  return { open: () => rig.open(), [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
});
