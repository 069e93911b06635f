import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { parseKeyId } from '../../../../src/ids.ts';
import { PinGuard } from '../../../../src/keys/pkcs11/library/pin-guard.ts';
import { openTokenKeyRecords } from '../../../../src/keys/pkcs11/records.ts';
import { Pkcs11Store } from '../../../../src/keys/pkcs11/store.ts';
import { soon } from '../../../support/deadline.ts';
import { SoftToken, softhsmPath, userPin } from '../../../support/keys/soft-token.ts';
import { InProcessLibrary } from '../../../support/library/in-process-library.ts';
import { suite } from '../../../support/timed-suite.ts';

const test = suite('cache of keys');

test('reports keys as absent from a listing for 20 s, while the token is present, and never configured keys', async () => {
  await using soft = await SoftToken.create();
  await using library = new InProcessLibrary(softhsmPath);
  const base = {
    library,
    selector: { slotId: 0 },
    pin: { kind: 'value', value: userPin },
  } as const;
  const [named, other] = [parseKeyId('named'), parseKeyId('other')];
  await using store = new Pkcs11Store({
    base,
    preloaded: new Map([[named, { token: base, selector: { object: 'absent' } }]]),
    usages: new Map(),
    records: await openTokenKeyRecords(join(soft.directory, 'records')),
    guard: await PinGuard.open(join(soft.directory, 'refused-pins')),
  });
  assert.not(store.lacks(other), 'nothing was listed yet');
  const clock = performance.now.bind(performance);
  let now = Math.ceil(clock());
  performance.now = () => now;
  try {
    await store.list(soon());
    assert.ok(store.lacks(other));
    assert.not(store.lacks(named));
    now += 19_999;
    assert.ok(store.lacks(other));
    now += 1;
    assert.not(store.lacks(other));
    await store.list(soon());
    assert.ok(store.lacks(other));
    await library.restart(0);
    assert.not(store.lacks(other), 'the token may be another one');
  } finally {
    performance.now = clock;
  }
});

test.run();
