import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseKeyId } from '../../../src/ids.ts';
import { FileStore } from '../../../src/keys/file/store.ts';
import { Pkcs11Module } from '../../../src/keys/pkcs11/module.ts';
import { PinGuard } from '../../../src/keys/pkcs11/pin-guard.ts';
import { TokenKeyRecords } from '../../../src/keys/pkcs11/records.ts';
import { Pkcs11Store } from '../../../src/keys/pkcs11/store.ts';
import { BusPublisher } from '../../../src/keys/publisher.ts';
import { KeyService } from '../../../src/keys/service.ts';
import { codeOf, forSigning, soon } from './key-store-contract.ts';
import { SoftToken, softhsmPath, userPin } from './soft-token.ts';

const test = suite('KeyService');

test('searches no token for the public half of a key that nobody has', async () => {
  await using soft = await SoftToken.create();
  await using module = new Pkcs11Module(softhsmPath);
  const { directory } = soft;
  await using pkcs11 = new Pkcs11Store({
    base: { module, selector: { slotId: 0 }, pin: { kind: 'value', value: userPin } },
    preloaded: new Map(),
    usages: new Map(),
    records: await TokenKeyRecords.open(join(directory, 'records')),
    guard: await PinGuard.open(join(directory, 'refused-pins')),
  });
  await using file = await FileStore.open(join(directory, 'keys'));
  const stores = { file, pkcs11, defaults: { pair: 'pkcs11', symmetric: 'pkcs11' } } as const;
  const none = async () => undefined;
  const keys = new KeyService({ ...stores, [Symbol.asyncDispose]: none }, new BusPublisher());
  const wanted = { ...forSigning, ifExists: 'fail', store: undefined } as const;
  const held = parseKeyId('held');

  await keys.refresh(soon());
  await keys.createPair(held, ['ec-p256'], wanted, soon());
  const inFile = parseKeyId('in-file');
  await keys.createPair(inFile, ['ec-p256'], { ...wanted, store: 'file' }, soon());
  const { api } = module;
  const find = api.C_FindObjectsInit.bind(api);
  let searches = 0;
  api.C_FindObjectsInit = (...args) => {
    searches++;
    find(...args);
  };
  for (let count = 0; count < 100; count++) {
    const unknown = parseKeyId(`unknown-${count}`);
    assert.is(await codeOf(keys.publicKey(unknown, soon())), 'NotFound');
  }
  assert.ok(await keys.publicKey(held, soon()));
  assert.ok(await keys.publicKey(inFile, soon()));
  assert.is(searches, 0);

  await soft.login('--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'foreign');
  await keys.refresh(soon());
  assert.ok(await keys.publicKey(parseKeyId('foreign'), soon()));
  await soft.remove();
  const meanwhile = parseKeyId('meanwhile');
  assert.is(await codeOf(keys.createPair(meanwhile, ['ec-p256'], wanted, soon())), 'Unavailable');
  assert.is(await codeOf(keys.publicKey(meanwhile, soon())), 'Unavailable');
});

test.run();
