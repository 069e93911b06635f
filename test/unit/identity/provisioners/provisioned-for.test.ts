import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  differenceOf,
  provisionedFor,
} from '../../../../src/identity/provisioners/provisioned-for.ts';

const test = suite('the device that was provisioned');
const dps = {
  globalEndpoint: 'https://dps.example',
  endpoint: 'https://dps.example',
  scopeId: '0ne1',
  registrationId: undefined,
  certificateId: 'device-id',
  keyId: 'device-id',
};
const saved = { answerTo: provisionedFor(dps), registrationId: 'pump-1' };

test('is the same while id, scope and endpoint are the same', () => {
  assert.is(differenceOf(saved, dps, 'pump-1'), '');
  assert.is(differenceOf(saved, dps, 'PUMP-1'), '');
  assert.is(differenceOf(saved, dps, undefined), '');
  assert.is(differenceOf(saved, { ...dps, registrationId: 'pump-1' }, 'pump-1'), '');
  assert.is(differenceOf(saved, { ...dps, certificateId: 'other' }, 'pump-1'), '');
});

test('is another when one of them differs, and both are named', () => {
  const renamed = differenceOf(saved, dps, 'pump-2');
  assert.is(renamed, 'registration id "pump-1", now "pump-2"');
  const scope = differenceOf(saved, { ...dps, scopeId: '0ne2' }, 'pump-1');
  assert.is(scope, 'scope "0ne1", now "0ne2"');
  const other = { globalEndpoint: 'https://x', endpoint: 'https://x' };
  const endpoint = differenceOf(saved, { ...dps, ...other }, 'pump-1');
  assert.is(endpoint, 'endpoint "https://dps.example", now "https://x"');
});

test('is compared with an older record by the fields that this has', () => {
  const older = { answerTo: provisionedFor(dps), registrationId: '' };
  assert.is(differenceOf(older, dps, 'pump-2'), '');
  const certificateId = 'other';
  assert.match(differenceOf(older, { ...dps, certificateId }, 'pump-2'), 'certificate');
  const named = {
    answerTo: provisionedFor({ ...dps, registrationId: 'pump-1' }),
    registrationId: '',
  };
  assert.is(differenceOf(named, dps, 'pump-2'), 'registration id "pump-1", now "pump-2"');
  assert.is.not(differenceOf({ answerTo: '{', registrationId: '' }, dps, 'pump-1'), '');
});

test('is the same behind a gateway, and without it', () => {
  const below = { ...dps, endpoint: 'https://parent', gatewayHostname: 'parent' };
  const before = '["https://dps.example","0ne1","cert://device-id"]';
  assert.is(provisionedFor(dps), before);
  const older = { answerTo: before, registrationId: '' };
  assert.is(differenceOf(older, below, undefined), '');
  const there = { answerTo: provisionedFor(below), registrationId: '' };
  assert.is(differenceOf(there, dps, undefined), '');
  const moved = { ...below, endpoint: 'https://other', gatewayHostname: 'other' };
  assert.is(differenceOf(there, moved, undefined), '');
  // a Retry-After is not
  assert.is(new Set([dps, below, moved].map(provisionedFor)).size, 3);
  const direct = { ...dps, gatewayHostname: 'parent' };
  assert.is(provisionedFor(direct), before);
});

test.run();
