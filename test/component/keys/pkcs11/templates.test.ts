/** The templates for keys in a token, and the resulting attributes. */
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseKeyId } from '../../../../src/ids.ts';
import type { Usage } from '../../../../src/keys/algorithm.ts';
import { parseMaterial } from '../../../../src/keys/material/material.ts';
import { PinGuard } from '../../../../src/keys/pkcs11/library/pin-guard.ts';
import { CKA, CKF, CKO } from '../../../../src/keys/pkcs11/protocol/constants.ts';
import type { Template } from '../../../../src/keys/pkcs11/protocol/values.ts';
import { openTokenKeyRecords } from '../../../../src/keys/pkcs11/records.ts';
import { Pkcs11Store } from '../../../../src/keys/pkcs11/store.ts';
import {
  importTemplates,
  isBaseKey,
  leanPairTemplate,
  newCkaId,
  pairTemplate,
  secretTemplate,
  wipe,
} from '../../../../src/keys/pkcs11/templates.ts';
import type { KeyAttributes } from '../../../../src/keys/store.ts';
import { soon } from '../../../support/deadline.ts';
import { SoftToken, softhsmPath, userPin } from '../../../support/keys/soft-token.ts';
import { InProcessLibrary } from '../../../support/library/in-process-library.ts';

const test = suite('templates of a token');
const names = { id: parseKeyId('a/key'), ckaId: Buffer.from('0102030405060708', 'hex') };
const flags = {
  sign: CKA.SIGN,
  verify: CKA.VERIFY,
  encrypt: CKA.ENCRYPT,
  decrypt: CKA.DECRYPT,
  wrap: CKA.WRAP,
  unwrap: CKA.UNWRAP,
  derive: CKA.DERIVE,
  signRecover: CKA.SIGN_RECOVER,
  verifyRecover: CKA.VERIFY_RECOVER,
  token: CKA.TOKEN,
  private: CKA.PRIVATE,
  sensitive: CKA.SENSITIVE,
  extractable: CKA.EXTRACTABLE,
} as const;

function valueOf(template: Template, type: number): unknown {
  const all = template.filter((one) => one.type === type);
  assert.ok(all.length < 2, `attribute ${type} stands twice`);
  return all[0]?.value;
}

/** The names of the attributes that are true, and of those that are false. */
function flagsOf(template: Template): readonly [string[], string[]] {
  const found = Object.entries(flags).map(
    ([name, type]) => [name, valueOf(template, type)] as const,
  );
  const those = (wanted: boolean) => found.filter(([, is]) => is === wanted).map(([name]) => name);
  return [those(true), those(false)];
}

function pkcs8(key: KeyObject): Buffer {
  return key.export({ type: 'pkcs8', format: 'der' });
}

function assertPrivate(template: Template, usages: readonly string[]): void {
  const [on, off] = flagsOf(template);
  assert.equal(on, [...usages, 'token', 'private', 'sensitive']);
  const all = ['sign', 'decrypt', 'unwrap', 'derive', 'signRecover'];
  assert.equal(off, [...all.filter((name) => !usages.includes(name)), 'extractable']);
  assert.is(valueOf(template, CKA.LABEL), names.id);
  assert.is(valueOf(template, CKA.ID), names.ckaId);
}

function assertPublic(template: Template, usages: readonly string[]): void {
  const [on, off] = flagsOf(template);
  assert.equal(on, [...usages, 'token']);
  const all = ['verify', 'encrypt', 'wrap', 'derive', 'verifyRecover'];
  assert.equal(off, [...all.filter((name) => !usages.includes(name)), 'private']);
  assert.is(valueOf(template, CKA.LABEL), names.id);
  assert.is(valueOf(template, CKA.ID), names.ckaId);
}

function assertSecret(template: Template, usages: readonly string[]): void {
  const [on, off] = flagsOf(template);
  assert.equal(on, [...usages, 'token', 'private', 'sensitive']);
  const all = ['sign', 'verify', 'encrypt', 'decrypt', 'wrap', 'unwrap', 'derive'];
  assert.equal(off, [...all.filter((name) => !usages.includes(name)), 'extractable']);
  assert.is(valueOf(template, CKA.LABEL), names.id);
  assert.is(valueOf(template, CKA.ID), names.ckaId);
}

test('declare a pair as sensitive and not extractable, with every usage', () => {
  for (const [usages, privateUsages, publicUsages] of [
    [['sign'], ['sign'], ['verify']],
    [['decrypt'], ['decrypt'], ['encrypt']],
    [
      ['sign', 'decrypt'],
      ['sign', 'decrypt'],
      ['verify', 'encrypt'],
    ],
  ] as const) {
    const { privateKey, publicKey } = pairTemplate(names, 'rsa-3072', usages);
    assertPrivate(privateKey, privateUsages);
    assertPublic(publicKey, publicUsages);
    assert.is(valueOf(publicKey, CKA.MODULUS_BITS), 3072);
    assert.equal(valueOf(publicKey, CKA.PUBLIC_EXPONENT), Buffer.of(1, 0, 1));
    const lean = leanPairTemplate(pairTemplate(names, 'ec-p384', usages));
    assertPrivate(lean.privateKey, privateUsages);
    assert.equal(flagsOf(lean.publicKey), [['token'], ['private']]);
    assert.equal(valueOf(lean.publicKey, CKA.EC_PARAMS), Buffer.from('06052b81040022', 'hex'));
  }
});

test('declare a secret key as sensitive and not extractable, with the usages of its kind only', () => {
  const aes = secretTemplate(names, 'aes-256', ['encrypt']).key;
  assertSecret(aes, ['encrypt', 'decrypt']);
  assert.is(valueOf(aes, CKA.VALUE_LEN), 32);
  // a base key computes MACs, whatever is derived from it
  for (const [algorithm, usages] of [
    ['hmac-sha256', ['sign']],
    ['hmac-sha256', ['sign', 'derive']],
    ['aes-256', ['encrypt', 'derive']],
  ] as const) {
    assertSecret(secretTemplate(names, algorithm, usages).key, ['sign', 'verify']);
  }
});

test('of imports declare the same, and contain bytes that can be wiped', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  for (const key of [ec, rsa]) {
    const templates = importTemplates(names, parseMaterial('pkcs8', pkcs8(key), undefined), [
      'sign',
    ]);
    assertPrivate(templates.key, ['sign']);
    assertPublic(templates.publicKey ?? [], ['verify']);
    const secret = valueOf(templates.key, key === ec ? CKA.VALUE : CKA.PRIVATE_EXPONENT);
    assert.ok(Buffer.isBuffer(secret) && secret.some((byte) => byte !== 0));
    wipe(templates.key);
    for (const { type, value } of templates.key) {
      if (!Buffer.isBuffer(value)) continue;
      assert.ok(
        value.every((byte) => byte === 0),
        `attribute ${type}`,
      );
    }
  }
  const bytes = randomBytes(16);
  const mac = importTemplates(names, parseMaterial('raw', bytes, 'hmac-sha256'), ['sign']);
  assertSecret(mac.key, ['sign', 'verify']);
  // as HMAC pads a short key itself
  assert.equal(valueOf(mac.key, CKA.VALUE), Buffer.concat([bytes, Buffer.alloc(16)]));
  const aes = parseMaterial('raw', randomBytes(32), 'aes-256');
  assertSecret(importTemplates(names, aes, ['encrypt']).key, ['encrypt', 'decrypt']);
  assertSecret(importTemplates(names, aes, ['encrypt', 'derive']).key, ['sign', 'verify']);
});

test('have a CKA_ID of 16 bytes for each key, which marks only base keys', () => {
  const made = Array.from({ length: 50 }, () => newCkaId(['sign']));
  const bases = Array.from({ length: 50 }, () => newCkaId(['sign', 'derive']));
  const all = [...made, ...bases];
  assert.is(new Set(all.map((id) => id.toString('hex'))).size, 100);
  assert.ok(all.every((id) => id.length === 16));
  assert.not(made.some(isBaseKey));
  assert.ok(bases.every(isBaseKey));
  assert.not(isBaseKey(Buffer.alloc(0)));
});

test('match the attributes in the token for every created and imported key', async () => {
  await using soft = await SoftToken.create();
  await using library = new InProcessLibrary(softhsmPath);
  await using store = new Pkcs11Store({
    base: { library, selector: { slotId: 0 }, pin: { kind: 'value', value: userPin } },
    preloaded: new Map(),
    usages: new Map(),
    records: await openTokenKeyRecords(join(soft.directory, 'records')),
    guard: await PinGuard.open(join(soft.directory, 'refused-pins')),
  });
  const as = (...usages: Usage[]): KeyAttributes => ({
    usages,
    exportable: false,
    exportDerived: false,
  });
  const key = (id: string) => parseKeyId(id);
  const ec = pkcs8(generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey);
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  await store.createPair(key('ec'), ['ec-p256'], as('sign'), soon());
  await store.createPair(key('rsa'), ['rsa-2048'], as('decrypt'), soon());
  await store.createSymmetric(key('aes'), 'aes-256', as('encrypt'), soon());
  await store.createSymmetric(key('base'), 'aes-256', as('encrypt', 'derive'), soon());
  const put = (id: string, material: ReturnType<typeof parseMaterial>, usage: Usage) =>
    store.importKey(key(id), material, as(usage), soon());
  await put('ec-in', parseMaterial('pkcs8', ec, undefined), 'sign');
  await put('rsa-in', parseMaterial('pkcs8', pkcs8(rsa), undefined), 'decrypt');
  const raw = randomBytes(32);
  await put('aes-in', parseMaterial('raw', Buffer.from(raw), 'aes-256'), 'encrypt');

  const { api } = library;
  const session = api.C_OpenSession(Buffer.alloc(8), CKF.SERIAL_SESSION);
  const found: string[] = [];
  for (const [kind, value] of [
    ['private', CKO.PRIVATE_KEY],
    ['secret', CKO.SECRET_KEY],
    ['public', CKO.PUBLIC_KEY],
  ] as const) {
    api.C_FindObjectsInit(session, [{ type: CKA.CLASS, value }]);
    const handles = api.C_FindObjects(session, 20);
    api.C_FindObjectsFinal(session);
    for (const handle of handles) {
      const read = (type: number) => {
        const [attribute] = api.C_GetAttributeValue(session, handle, [{ type }]);
        return Buffer.from(attribute?.value as Buffer); // as pkcs11js returns them
      };
      const is = (type: number) => read(type)[0] === 1;
      const label = read(CKA.LABEL).toString();
      assert.is(read(CKA.ID).length, 16);
      assert.is(isBaseKey(read(CKA.ID)), label === 'base');
      assert.ok(is(CKA.TOKEN), label);
      assert.is(is(CKA.PRIVATE), kind !== 'public', label);
      if (kind !== 'public') assert.equal([is(CKA.SENSITIVE), is(CKA.EXTRACTABLE)], [true, false]);
      const usages = Object.entries(flags).slice(0, 7);
      const held = usages.filter(([name, type]) => {
        const isOfKind =
          kind === 'private'
            ? /^(sign|decrypt|unwrap|derive)$/.test(name)
            : kind === 'secret' || /^(verify|encrypt|wrap)$/.test(name);
        return isOfKind && is(type);
      });
      found.push(`${kind} ${label}: ${held.map(([name]) => name).join()}`);
    }
  }
  assert.equal(found.toSorted(), [
    'private ec-in: sign',
    'private ec: sign',
    'private rsa-in: decrypt',
    'private rsa: decrypt',
    'public ec-in: verify',
    'public ec: verify',
    'public rsa-in: encrypt',
    'public rsa: encrypt',
    'secret aes-in: encrypt,decrypt',
    'secret aes: encrypt,decrypt',
    'secret base: sign,verify',
  ]);
});

test.run();
