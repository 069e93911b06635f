import { createHmac } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  resolveAudience,
  signedToken,
  unsignedToken,
} from '../../../../src/identity/hub/sas-token.ts';
import { refusalOfSas } from '../../../support/cloud/sas.ts';
import { codeOf } from '../../../support/failure.ts';

const own = 'hub.example.net/devices/Dev/modules/$edgeAgent';
const test = suite('SAS tokens');

test('are accepted by the service that verifies them', () => {
  const key = Buffer.alloc(32, 3);
  const now = new Date(1_700_000_000_000);
  const unsigned = unsignedToken(own, 60, now);
  const token = signedToken(unsigned, createHmac('sha256', key).update(unsigned.text).digest());
  assert.is(refusalOfSas(token, { resource: own, key, now }), undefined);
  const at = (ms: number) => refusalOfSas(token, { resource: own, key, now: new Date(ms) });
  assert.is(at(1_700_000_059_999), undefined);
  assert.match(at(1_700_000_060_000) ?? '', 'token expired at 1700000060');
  assert.is(refusalOfSas(token, { resource: own, key: Buffer.alloc(32), now }), 'wrong signature');
});

test('encode their resource with lower-case percent-encoding', () => {
  const { sr, text } = unsignedToken(own, 1, new Date(0));
  assert.is(sr, 'hub.example.net%2Fdevices%2FDev%2Fmodules%2F%24edgeAgent');
  assert.is(text, `${sr}\n1`);
  const unsigned = { sr, text, expiryS: 1 };
  const token = signedToken(unsigned, Buffer.from('fbff', 'hex'));
  assert.is(token, `SharedAccessSignature sr=${sr}&sig=%2B%2F8%3D&se=1`);
});

test('are valid for an hour by default, and for a day at most', () => {
  const expiryS = (lifetimeS: number, ms = 0) =>
    unsignedToken(own, lifetimeS, new Date(ms)).expiryS;
  assert.equal([expiryS(0), expiryS(1), expiryS(86_400)], [3600, 1, 86_400]);
  assert.equal([expiryS(60, 999), expiryS(60, 1000)], [60, 61]);
  assert.is(
    codeOf(() => unsignedToken(own, 86_401, new Date(0))),
    'InvalidArgs',
  );
});

test('are for the identity itself or a resource below it', () => {
  assert.is(resolveAudience(own, ''), own);
  assert.is(resolveAudience(own, `${own}/inputs`), `${own}/inputs`);
  assert.is(resolveAudience(own, own), own);
  assert.is(resolveAudience(own, `${own}/a..b`), `${own}/a..b`);
  for (const audience of [
    'hub.example.net',
    own.slice(0, -1),
    own.toUpperCase(),
    `${own}x`,
    `x${own}/`,
    `${own}/../x`,
    `${own}/x/..`,
  ]) {
    assert.is(
      codeOf(() => resolveAudience(own, audience)),
      'InvalidArgs',
    );
  }
});

test.run();
