import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { keyProperties, managerProperties } from '../../../src/keys/properties.ts';
import type { KeyInfo } from '../../../src/keys/store.ts';
import { damaged, other, pair } from '../../support/keys/key-infos.ts';

const test = suite('properties of keys');

const well = { disk: '', failure: '', keys: [] };

test('have the time in microseconds, 0 when it is unknown', () => {
  assert.equal(keyProperties(pair), {
    KeyId: 'pair',
    Kind: 'pair',
    Algorithm: 'ec-p256',
    Usages: ['sign'],
    Store: 'file',
    Origin: 'generated',
    Exportable: true,
    State: 'ok',
    Created: 1_700_000_000_123_000n,
  });
  assert.is(keyProperties(other).Exportable, false);
  assert.is(keyProperties(other).Created, 0n);
});

test('report a problem once where it affects all keys of a store', () => {
  const away: KeyInfo = { ...pair, state: 'unavailable', reason: 'the token is gone' };
  const keys = [away, { ...other, ...away, id: other.id }, damaged];
  const { LastError } = managerProperties({ ...well, failure: 'edge: the token is gone', keys });
  assert.is(LastError, 'edge: the token is gone; key "broken" is damaged: it is truncated');
});

test('contain no secret, and 1024 characters at most', () => {
  const failure = 'pkcs11:token=a?pin-value=1234 is gone';
  const { Health, LastError } = managerProperties({ ...well, failure });
  assert.is(Health, 'degraded');
  assert.not.match(LastError, '1234');
  assert.is(managerProperties({ ...well, failure: 'x'.repeat(5000) }).LastError.length, 1024);
});

test.run();
