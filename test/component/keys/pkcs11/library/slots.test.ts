import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { TokenSelector } from '../../../../../src/keys/config/pkcs11-uri.ts';
import { findToken, unpadded } from '../../../../../src/keys/pkcs11/library/slots.ts';
import { CKF } from '../../../../../src/keys/pkcs11/protocol/constants.ts';
import { operations, type TokenSlot } from '../../../../../src/keys/pkcs11/protocol/operations.ts';
import { SoftToken, softhsmPath } from '../../../../support/keys/soft-token.ts';
import { InProcessLibrary } from '../../../../support/library/in-process-library.ts';

const test = suite('slots');

/** Slots that contain tokens with these flags and labels, all of one model. */
function slots(...tokens: readonly (readonly [flags: number, label: string])[]): TokenSlot[] {
  const others = { model: 'M', serialNumber: '', manufacturerID: '' };
  const limits = { maxSessionCount: 0, maxRwSessionCount: 0 };
  return tokens.map(([flags, label], at) => ({
    slot: Buffer.from([at, 0, 0, 0, 0, 0, 0, 0]),
    info: { flags, label, ...others, ...limits },
  }));
}

function failureOf(tokens: readonly TokenSlot[], selector: TokenSelector): string {
  try {
    findToken(tokens, selector);
    return '';
  } catch (error) {
    return String(error);
  }
}

const initialized = CKF.TOKEN_INITIALIZED;

test('without an initialized token match a URI only when no initialized one does', () => {
  const one = slots([0, ''], [initialized, 'edge'], [0, '']);
  assert.is(findToken(one, { model: 'M' }).info.label, 'edge');
  assert.is(findToken(one, {}).info.label, 'edge');
  assert.match(failureOf(one, { slotId: 0 }), 'is not initialized');
  assert.match(failureOf(slots([0, ''], [0, '']), { model: 'M' }), 'is not initialized');
  const two = slots([0, ''], [initialized, 'edge'], [initialized, 'other']);
  assert.match(failureOf(two, { model: 'M' }), '2 tokens match');
  assert.match(failureOf(two, { model: 'N' }), 'no token matches');
});

test('of SoftHSM include one uninitialized token', async () => {
  await using soft = await SoftToken.create();
  await using library = new InProcessLibrary(softhsmPath);
  await library.ready();
  const tokens = await library.call(operations.tokens, undefined);
  assert.is(soft.directory === '' ? 0 : tokens.length, 2);
  const { info } = findToken(tokens, { model: 'SoftHSM v2' });
  assert.is(unpadded(info.label), 'edge');
});

test.run();
