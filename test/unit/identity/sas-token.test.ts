import { createHmac } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../src/errors.ts';
import { resolveAudience, signedToken, unsignedToken } from '../../../src/identity/sas-token.ts';
import { refusalOfSas } from '../../support/cloud/sas.ts';

const own = 'hub.example.net/devices/Dev/modules/$edgeAgent';
const test = suite('SAS tokens');

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return error instanceof ServiceError ? error.code : 'other';
  }
  return 'none';
}

test('are accepted by who checks them', () => {
  const key = Buffer.alloc(32, 3);
  const now = new Date(1_700_000_000_000);
  const unsigned = unsignedToken(own, 60, now);
  const token = signedToken(unsigned, createHmac('sha256', key).update(unsigned.text).digest());
  assert.is(refusalOfSas(token, { resource: own, key, now }), undefined);
  assert.ok(refusalOfSas(token, { resource: own, key, now: new Date(now.getTime() + 61_000) }));
});

test('spell their resource percent-encoded in its own case', () => {
  assert.is(unsignedToken(own, 1, new Date(0)).sr, encodeURIComponent(own));
});

test('live an hour unless told otherwise, and never more than a day', () => {
  assert.is(unsignedToken(own, 0, new Date(0)).expiryS, 3600);
  assert.is(
    codeOf(() => unsignedToken(own, 86_401, new Date(0))),
    'InvalidArgs',
  );
});

test('are for the identity itself or below it', () => {
  assert.is(resolveAudience(own, ''), own);
  assert.is(resolveAudience(own, `${own}/inputs`), `${own}/inputs`);
  for (const audience of ['hub.example.net', `${own}x`, `${own}/../x`]) {
    assert.is(
      codeOf(() => resolveAudience(own, audience)),
      'InvalidArgs',
    );
  }
});

test.run();
