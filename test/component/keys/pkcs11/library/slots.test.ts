import type { PKCS11, TokenInfo } from 'pkcs11js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CKF } from '../../../../../src/keys/pkcs11/library/constants.ts';
import { Pkcs11Library } from '../../../../../src/keys/pkcs11/library/library.ts';
import { findToken, unpadded } from '../../../../../src/keys/pkcs11/library/slots.ts';
import { SoftToken, softhsmPath } from '../../../../support/keys/soft-token.ts';

const test = suite('slots');

/** A library whose slots contain tokens with these flags and labels, all of one model. */
function library(...tokens: readonly (readonly [flags: number, label: string])[]): PKCS11 {
  return {
    C_GetSlotList: () => tokens.map((_, at) => Buffer.from([at, 0, 0, 0, 0, 0, 0, 0])),
    C_GetTokenInfo: (slot: Buffer) => {
      const [flags, label] = tokens[slot[0] ?? 0] ?? [0, ''];
      return { flags, label, model: 'M', serialNumber: '', manufacturerID: '' } as TokenInfo;
    },
  } as unknown as PKCS11; // the methods that findToken calls
}

function failureOf(api: PKCS11, selector: Parameters<typeof findToken>[1]): string {
  try {
    findToken(api, selector);
    return '';
  } catch (error) {
    return String(error);
  }
}

const initialized = CKF.TOKEN_INITIALIZED;

test('without an initialized token match a URI only when no initialized one does', () => {
  const one = library([0, ''], [initialized, 'edge'], [0, '']);
  assert.is(findToken(one, { model: 'M' }).info.label, 'edge');
  assert.is(findToken(one, {}).info.label, 'edge');
  assert.match(failureOf(one, { slotId: 0 }), 'is not initialized');
  assert.match(failureOf(library([0, ''], [0, '']), { model: 'M' }), 'is not initialized');
  const two = library([0, ''], [initialized, 'edge'], [initialized, 'other']);
  assert.match(failureOf(two, { model: 'M' }), '2 tokens match');
  assert.match(failureOf(two, { model: 'N' }), 'no token matches');
});

test('of SoftHSM include one uninitialized token', async () => {
  await using soft = await SoftToken.create();
  await using library = new Pkcs11Library(softhsmPath);
  await library.ready();
  assert.is(soft.directory === '' ? 0 : library.api.C_GetSlotList(true).length, 2);
  const { info } = findToken(library.api, { model: 'SoftHSM v2' });
  assert.is(unpadded(info.label), 'edge');
});

test.run();
