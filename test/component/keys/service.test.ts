import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../src/errors.ts';
import { parseKeyId } from '../../../src/ids.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { KeyCatalog } from '../../../src/keys/catalog.ts';
import { FileStore } from '../../../src/keys/file/store.ts';
import { parseSignMechanism, parseSignRequest } from '../../../src/keys/mechanism.ts';
import { PinGuard } from '../../../src/keys/pkcs11/library/pin-guard.ts';
import { operations } from '../../../src/keys/pkcs11/protocol/operations.ts';
import { openTokenKeyRecords } from '../../../src/keys/pkcs11/records.ts';
import { Pkcs11Store, type Pkcs11StoreOptions } from '../../../src/keys/pkcs11/store.ts';
import { KeyService } from '../../../src/keys/service.ts';
import type { Stores } from '../../../src/keys/stores.ts';
import { deadline, soon, until } from '../../support/deadline.ts';
import { failureOf, untilWorks } from '../../support/failure.ts';
import { forSigning, withKey } from '../../support/keys/key-store-contract.ts';
import { SoftToken, softhsmPath, userPin } from '../../support/keys/soft-token.ts';
import { InProcessLibrary } from '../../support/library/in-process-library.ts';
import { ShownObjects } from '../../support/wire/shown-objects.ts';

const test = suite('KeyService');
const wanted = { ...forSigning, ifExists: 'fail', store: undefined } as const;

type SavedState = Pick<Pkcs11StoreOptions, 'records' | 'guard'>;

/** A service over files and a token, assembled like the process; its published changes are only seen here. */
class Fixture implements AsyncDisposable {
  readonly soft: SoftToken;
  readonly pkcs11: Pkcs11Store;
  readonly keys: KeyService;
  readonly objects = new ShownObjects(keysService);
  readonly library = new InProcessLibrary(softhsmPath);

  private constructor(soft: SoftToken, file: FileStore, saved: SavedState) {
    this.soft = soft;
    const { library, objects } = this;
    const base = {
      library,
      selector: { slotId: 0 },
      pin: { kind: 'value', value: userPin },
    } as const;
    this.pkcs11 = new Pkcs11Store({ base, preloaded: new Map(), usages: new Map(), ...saved });
    const { pkcs11 } = this;
    const stores = { file, pkcs11, defaults: { pair: 'pkcs11', symmetric: 'pkcs11' } } as const;
    this.keys = new KeyService(stores, new KeyCatalog(objects));
    this.pkcs11.onTokenChange((failure) => {
      this.keys.tokenChanged(failure);
      void this.keys.refresh(soon());
    });
  }

  static async start(): Promise<Fixture> {
    const soft = await SoftToken.create();
    const { directory } = soft;
    return new Fixture(soft, await FileStore.open(join(directory, 'keys')), {
      records: await openTokenKeyRecords(join(directory, 'records')),
      guard: await PinGuard.open(join(directory, 'refused-pins')),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pkcs11[Symbol.asyncDispose]();
    await this.library[Symbol.asyncDispose]();
    await this.soft[Symbol.asyncDispose]();
  }
}

test('does not search the token for the public half of an unknown key', async () => {
  await using fixture = await Fixture.start();
  const { keys, library, soft } = fixture;
  const held = parseKeyId('held');

  await keys.refresh(soon());
  await keys.createPair(held, ['ec-p256'], wanted, soon());
  const inFile = parseKeyId('in-file');
  await keys.createPair(inFile, ['ec-p256'], { ...wanted, store: 'file' }, soon());
  const { api } = library;
  const find = api.C_FindObjectsInit.bind(api);
  let searches = 0;
  api.C_FindObjectsInit = (...args) => {
    searches++;
    find(...args);
  };
  for (let count = 0; count < 100; count++) {
    const unknown = parseKeyId(`unknown-${count}`);
    assert.is(await failureOf(keys.publicKey(unknown)), 'NotFound');
  }
  assert.ok(await keys.publicKey(held));
  assert.ok(await keys.publicKey(inFile));
  assert.is(searches, 0);

  await soft.login('--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'foreign');
  await keys.refresh(soon());
  assert.ok(await keys.publicKey(parseKeyId('foreign')));
  await soft.remove();
  const meanwhile = parseKeyId('meanwhile');
  assert.is(
    await failureOf(keys.createPair(meanwhile, ['ec-p256'], wanted, soon())),
    'Unavailable',
  );
  assert.is(await failureOf(keys.publicKey(meanwhile)), 'Unavailable');
});

for (const { removed, message } of [
  { removed: [], message: /pkcs11:slot-id=0/ },
  // without its configuration the library does not restart
  {
    removed: ['softhsm2.conf'],
    message:
      /^PKCS#11 library .*libsofthsm2.so cannot be started: CKR_GENERAL_ERROR: may uid \d+ use its files and devices\?$/,
  },
]) {
  const without = ['a token', ...removed].join(' and ');
  test(`has published changes that a call found when it replies, without ${without}`, async () => {
    await using fixture = await Fixture.start();
    const { keys, objects, pkcs11, soft } = fixture;
    const held = parseKeyId('held');
    const request = parseSignRequest(parseSignMechanism('ecdsa-sha256'), Buffer.alloc(32), true);
    const sign = () => withKey(pkcs11, held, (key) => key.sign(request, soon()));
    await keys.refresh(soon());
    await keys.createPair(held, ['ec-p256'], wanted, soon());
    assert.equal(objects.properties, { Version: '', Health: 'ok', LastError: '' });

    await soft.remove();
    for (const name of removed)
      await rename(join(soft.directory, name), join(soft.directory, 'gone'));
    assert.is(await failureOf(sign()), 'Unavailable');
    const { Health, LastError } = objects.properties;
    assert.is(Health, 'degraded');
    assert.match(LastError, message);

    for (const name of removed)
      await rename(join(soft.directory, 'gone'), join(soft.directory, name));
    await soft.insert();
    await untilWorks('a signature', sign);
    await until(20_000, 'the new health', () => objects.properties.Health === 'ok');
  });
}

/** A service over a token that counts `list` and `get`, and never lists missing keys. */
function overUnlisted(calls: { lists: number; gets: number }, elapsedMs: () => number) {
  const known = parseKeyId('known');
  const failure = new ServiceError('Unavailable', 'the token is slow');
  const pkcs11 = {
    knows: (id: string) => id === known,
    lacks: () => false,
    preloadedIds: new Set(),
    list: async () => {
      calls.lists++;
      await new Promise((done) => setImmediate(done));
      return { keys: [], ignored: [], failure };
    },
    get: async () => {
      calls.gets++;
      await new Promise((done) => setImmediate(done));
      throw failure;
    },
  };
  return { keys: overToken(pkcs11, elapsedMs), known };
}

/** A service over no files and a token with the methods that it calls. */
function overToken(pkcs11: object, elapsedMs?: () => number): KeyService {
  const file = {
    get: async () => undefined,
    list: async () => ({ keys: [], ignored: [], failure: undefined }),
  };
  const stores = { file, pkcs11, defaults: { pair: 'pkcs11', symmetric: 'pkcs11' } };
  const catalog = new KeyCatalog(new ShownObjects(keysService));
  return new KeyService(stores as unknown as Stores, catalog, elapsedMs);
}

/** Time limits that are reached on request. */
class TimeLimits implements Disposable {
  readonly limitsMs: number[] = [];
  readonly #reached = new AbortController();
  readonly #original = AbortSignal.timeout.bind(AbortSignal);

  constructor() {
    AbortSignal.timeout = (limitMs) => {
      this.limitsMs.push(limitMs);
      return this.#reached.signal;
    };
  }

  reach(): void {
    this.#reached.abort();
  }

  [Symbol.dispose](): void {
    AbortSignal.timeout = this.#original;
  }
}

test('queries a token that cannot be listed once a second, for any caller and id', async () => {
  const calls = { lists: 0, gets: 0 };
  let elapsedMs = 0;
  const { keys, known } = overUnlisted(calls, () => elapsedMs);
  const query = async (): Promise<void> => {
    const ids = Array.from({ length: 64 }, (_, at) => parseKeyId(`unknown-${at}`));
    const outcomes = await Promise.all(ids.map((id) => failureOf(keys.publicKey(id))));
    assert.equal(new Set(outcomes), new Set(['Unavailable']));
    const again = Array.from({ length: 64 }, () => failureOf(keys.publicKey(known)));
    assert.equal(new Set(await Promise.all(again)), new Set(['Unavailable']));
  };
  await query();
  await query();
  assert.equal(calls, { lists: 1, gets: 1 });
  elapsedMs = 1000;
  await query();
  assert.equal(calls, { lists: 2, gets: 2 });
});

test('searches for a public key no longer than a client waits', async () => {
  using limits = new TimeLimits();
  const get = (_id: string, signal: AbortSignal) =>
    new Promise<undefined>((_, reject) => {
      const end = (): void => reject(new ServiceError('Cancelled', 'the time is up'));
      signal.addEventListener('abort', end);
    });
  const keys = overToken({ knows: () => true, preloadedIds: new Set(), get });
  const id = parseKeyId('slow');
  const calls = [keys.publicKey(id), keys.publicKey(id)].map(failureOf);
  await until(5_000, 'the search', () => limits.limitsMs.length > 0);
  limits.reach();
  assert.equal(await deadline(5_000, Promise.all(calls), 'replies'), ['Cancelled', 'Cancelled']);
  assert.equal(limits.limitsMs, [25_000]);
});

test('lists for all others when the call that began it has taken too long', async () => {
  await using fixture = await Fixture.start();
  const { keys, library, objects, soft } = fixture;
  await soft.login('--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'foreign');
  const patient = soon();
  using limits = new TimeLimits();
  let isHeld = false;
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  library.before = (operation) => {
    if (operation !== operations.find.number) return undefined;
    isHeld = true;
    return held;
  };
  const calls = ['unknown', 'foreign'].map((id) => failureOf(keys.publicKey(parseKeyId(id))));
  await until(10_000, 'the listing', () => isHeld);
  const refreshed = keys.refresh(patient);
  const impatient = failureOf(keys.require(parseKeyId('other'), AbortSignal.timeout(25_000)));
  limits.reach();
  assert.is(await deadline(10_000, impatient, 'the end of a limited search'), 'Cancelled');
  release();
  await refreshed;
  assert.equal(await Promise.all(calls), ['NotFound', 'no failure']);
  assert.is(objects.properties.Health, 'ok');
});

test('returns the current public key after a change', async () => {
  await using fixture = await Fixture.start();
  const { keys } = fixture;
  const id = parseKeyId('changing');
  for (const store of ['file', 'pkcs11'] as const) {
    assert.is(await failureOf(keys.publicKey(id)), 'NotFound');
    await keys.createPair(id, ['ec-p256'], { ...wanted, store }, soon());
    const first = await keys.publicKey(id);
    await keys.deleteKey(id, soon());
    assert.is(await failureOf(keys.publicKey(id)), 'NotFound');
    await keys.createPair(id, ['ec-p256'], { ...wanted, store }, soon());
    assert.not.equal(await keys.publicKey(id), first);
    await keys.deleteKey(id, soon());
  }
});

test('lists once for concurrent callers, and again when a token changed meanwhile', async () => {
  await using fixture = await Fixture.start();
  const { keys, library, objects } = fixture;
  await keys.refresh(soon());
  const { api } = library;
  const find = api.C_FindObjectsInit.bind(api);
  let searches = 0;
  let onSearch = (): void => undefined;
  api.C_FindObjectsInit = (...args) => {
    searches++;
    onSearch();
    find(...args);
  };
  const searchesOf = async (...listings: readonly Promise<void>[]): Promise<number> => {
    await Promise.all(listings);
    const found = searches;
    searches = 0;
    return found;
  };
  const one = await searchesOf(keys.refresh(soon()));
  assert.ok(one > 0);
  assert.is(await searchesOf(keys.refresh(soon()), keys.refresh(soon())), one);
  onSearch = () => {
    onSearch = () => undefined;
    keys.tokenChanged(new ServiceError('Unavailable', 'the token is gone'));
  };
  assert.is(await searchesOf(keys.refresh(soon())), 2 * one);
  assert.is(objects.properties.Health, 'ok');
});

test.run();
