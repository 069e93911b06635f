import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { KeysConfig } from '../../../src/keys/config/config.ts';
import { closeStores, StoreOpener, type Stores } from '../../../src/keys/stores.ts';
import { soon } from '../../support/deadline.ts';
import { SoftToken, softhsmPath, userPin } from '../../support/keys/soft-token.ts';
import { suite } from '../../support/timed-suite.ts';

const test = suite('the stores of a configuration');

type Settings = Partial<KeysConfig>;

/** A token in slot 0 with the label "edge", and the stores that configurations open over it. */
class Rig implements AsyncDisposable {
  readonly soft: SoftToken;
  readonly opener: StoreOpener;
  readonly #opened: Stores[] = [];

  private constructor(soft: SoftToken) {
    this.soft = soft;
    this.opener = new StoreOpener(soft.directory);
  }

  static async start(): Promise<Rig> {
    const soft = await SoftToken.create();
    await writeFile(join(soft.directory, 'pin'), `${userPin}\r\n`);
    await writeFile(join(soft.directory, 'wrong'), 'wrong\n');
    return new Rig(soft);
  }

  path(name: string): string {
    return join(this.soft.directory, name);
  }

  async open(settings: Settings, inForce?: Stores): Promise<Stores> {
    const config = { tokens: {}, keys: {}, preloaded: {}, ...settings } as KeysConfig; // the settings of stores
    const stores = await this.opener.open(config, inForce);
    this.#opened.push(stores);
    return stores;
  }

  /** Why the token cannot be used, `works` when it can. */
  async state(settings: Settings): Promise<string> {
    const { pkcs11 } = await this.open({ pkcs11_lib_path: softhsmPath, ...settings });
    const listing = await pkcs11?.list(soon());
    return listing === undefined ? 'no token' : (listing.failure?.message ?? 'works');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stores of this.#opened) await closeStores(stores);
    await this.opener[Symbol.asyncDispose]();
    await this.soft[Symbol.asyncDispose]();
  }
}

test('give a token the PIN of the entry that covers its URI', async () => {
  await using rig = await Rig.start();
  const edge = { uri: 'pkcs11:token=edge', pin_file: rig.path('pin') };
  const state = await rig.state({
    pkcs11_base_slot: 'pkcs11:token=edge;slot-id=0',
    tokens: { other: { uri: 'pkcs11:token=other', pin_file: rig.path('wrong') }, edge },
  });
  assert.is(state, 'works');
});

test('give no token the PIN of another one', async () => {
  const uris = ['pkcs11:token=other', 'pkcs11:token=edge;serial=1', 'pkcs11:slot-id=0;token=edge'];
  for (const uri of uris) {
    await using rig = await Rig.start();
    const tokens = { other: { uri, pin_file: rig.path('pin') } };
    const state = await rig.state({ pkcs11_base_slot: 'pkcs11:token=edge', tokens });
    assert.match(state, 'no PIN of the token is configured', uri);
  }
});

test('prefer the PIN of a URI to that of an entry', async () => {
  await using rig = await Rig.start();
  const tokens = { edge: { uri: 'pkcs11:token=edge', pin_file: rig.path('wrong') } };
  const pkcs11_base_slot = `pkcs11:token=edge?pin-value=${userPin}`;
  assert.is(await rig.state({ pkcs11_base_slot, tokens }), 'works');
});

test('use the library of a URI, of the entry, of its URI, and then the common one', async () => {
  await using rig = await Rig.start();
  const none = (name: string) => `/nonexistent/${name}.so`;
  const base = `pkcs11:token=edge`;
  const pin_file = rig.path('pin');
  const entry = { module: softhsmPath, uri: base, pin_file };
  const inUri = { uri: `${base}?module-path=${softhsmPath}`, pin_file };
  const all: readonly Settings[] = [
    {
      pkcs11_base_slot: `${base}?module-path=${softhsmPath}`,
      tokens: { edge: { ...entry, module: none('entry') } },
    },
    { pkcs11_base_slot: base, tokens: { edge: entry } },
    { pkcs11_base_slot: base, tokens: { edge: inUri } },
    {
      pkcs11_base_slot: base,
      tokens: {
        edge: { ...inUri, uri: `${base}?module-path=${none('uri')}`, module: softhsmPath },
      },
    },
  ];
  for (const settings of all) {
    assert.is(await rig.state({ ...settings, pkcs11_lib_path: none('all') }), 'works');
  }
});

test('are reused under another configuration with the same settings, and only then', async () => {
  await using rig = await Rig.start();
  const settings: Settings = {
    pkcs11_lib_path: softhsmPath,
    pkcs11_base_slot: 'pkcs11:token=edge',
    tokens: { edge: { uri: 'pkcs11:token=edge', pin_file: rig.path('pin') } },
    keys: { file: { usages: ['sign'] } },
    preloaded: { file: { kind: 'file', path: rig.path('absent') } },
  };
  const first = await rig.open(settings);
  const same = await rig.open(structuredClone(settings), first);
  assert.is(same.pkcs11, first.pkcs11);
  assert.is(same.file, first.file);
  const wrong = { edge: { uri: 'pkcs11:token=edge', pin_file: rig.path('wrong') } };
  const token = {
    ...settings.preloaded,
    named: { kind: 'token', uri: 'pkcs11:token=edge;object=a' },
  } as const;
  const others: readonly Settings[] = [
    { ...settings, tokens: wrong },
    { ...settings, pkcs11_lib_path: '/nonexistent/library.so' },
    { ...settings, pkcs11_base_slot: 'pkcs11:token=other' },
    { ...settings, preloaded: token },
  ];
  for (const other of others) {
    const stores = await rig.open(other, first);
    assert.is.not(stores.pkcs11, first.pkcs11, JSON.stringify(other));
    assert.is(stores.file, first.file, JSON.stringify(other));
  }
  const usages = await rig.open({ ...settings, keys: { file: { usages: ['decrypt'] } } }, first);
  assert.is.not(usages.file, first.file);
  assert.is.not(usages.pkcs11, first.pkcs11);
  const moved = { file: { kind: 'file', path: rig.path('elsewhere') } } as const;
  const files = await rig.open({ ...settings, preloaded: moved }, first);
  assert.is.not(files.file, first.file);
  assert.is(files.pkcs11, first.pkcs11);
});

test('include no token store where none is configured, and create keys in files', async () => {
  await using rig = await Rig.start();
  const { pkcs11, defaults } = await rig.open({ pkcs11_lib_path: softhsmPath });
  assert.is(pkcs11, undefined);
  assert.equal(defaults, { pair: 'file', symmetric: 'file' });
  const pkcs11_base_slot = 'pkcs11:token=edge';
  const based = await rig.open({ pkcs11_lib_path: softhsmPath, pkcs11_base_slot });
  assert.equal(based.defaults, { pair: 'pkcs11', symmetric: 'pkcs11' });
  const mixed = await rig.open({
    pkcs11_lib_path: softhsmPath,
    pkcs11_base_slot,
    symmetric_store: 'file',
  });
  assert.equal(mixed.defaults, { pair: 'pkcs11', symmetric: 'file' });
});

test('that two configurations share are closed with the last of them', async () => {
  await using rig = await Rig.start();
  const base = {
    pkcs11_lib_path: softhsmPath,
    pkcs11_base_slot: `pkcs11:token=edge?pin-value=${userPin}`,
  };
  const first = await rig.open(base);
  await first.pkcs11?.list(soon());
  const second = await rig.open(
    { ...base, preloaded: { file: { kind: 'file', path: rig.path('absent') } } },
    first,
  );
  const closed: string[] = [];
  for (const [name, store] of [
    ['token', first.pkcs11],
    ['file', first.file],
  ] as const) {
    assert.ok(store);
    const close = store[Symbol.asyncDispose].bind(store);
    store[Symbol.asyncDispose] = async () => {
      closed.push(name);
      await close();
    };
  }
  await closeStores(first, second);
  assert.equal(closed, ['file']);
  assert.is((await second.pkcs11?.list(soon()))?.failure, undefined);
});

test.run();
