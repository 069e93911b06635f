import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { CertificateEntry } from '../../../../src/certificates/certificate-entry.ts';
import type { KeyState, OrderKeys } from '../../../../src/certificates/keys/keys-client.ts';
import { LostKeys } from '../../../../src/certificates/renewal/lost-keys.ts';
import { via } from '../../../support/via.ts';

const test = suite('lost keys');
const spki = Buffer.from('key');

/** Keys in these states, and those that were looked up. */
function keysIn(states: Readonly<Record<string, KeyState>>) {
  const seen: string[] = [];
  const stateOf = async (id: string): Promise<KeyState> => {
    seen.push(id);
    return states[id] ?? 'missing';
  };
  return { keys: { lookup: () => ({ stateOf }) } as unknown as OrderKeys, seen };
}

/** A certificate with these keys; those without an id have none. */
function entryWith({
  keyId = '',
  successor,
  order,
  method = 'est',
}: Readonly<Partial<Record<'keyId' | 'successor' | 'order' | 'method', string>>>) {
  const enrolment = {
    method,
    ...(successor !== undefined && { successor: { keyId: successor, chain: [{ spki }] } }),
    ...(order !== undefined && { order: { keyId: order, spki } }),
  };
  return { keyId, chain: [{ spki }], enrolment } as unknown as CertificateEntry;
}

test('are those that are missing or replaced, not those that cannot be looked up now', async () => {
  const states = {
    gone: 'missing',
    other: 'differs',
    away: 'unavailable',
    good: 'matches',
  } as const;
  const { keys } = keysIn(states);
  const lost = new LostKeys();
  const found: boolean[] = [];
  for (const id of Object.keys(states)) found.push(await lost.check(id, spki, { keys, via }));
  assert.equal(found, [true, true, false, false]);
  assert.equal([...lost.ids], ['gone', 'other']);
});

test('stay lost while they cannot be looked up, until they are found', async () => {
  const lost = new LostKeys();
  lost.note('k', 'missing');
  lost.note('k', 'unavailable');
  assert.equal([...lost.ids], ['k']);
  lost.note('k', 'matches');
  assert.equal([...lost.ids], []);
});

test('are looked for among those of certificates, successors and orders that are issued here', async () => {
  const { keys, seen } = keysIn({ c: 'matches', o2: 'matches' });
  const lost = new LostKeys();
  const entries = [
    entryWith({ keyId: 'c', successor: 's', order: 'o' }),
    entryWith({ order: 'o2' }),
    entryWith({ keyId: 'imported', method: 'none' }),
    { keyId: 'plain', chain: [{ spki }] } as unknown as CertificateEntry,
  ];
  await lost.checkAll(entries, { keys, via });
  assert.equal(seen, ['c', 's', 'o', 'o2']);
  assert.equal([...lost.ids], ['s', 'o']);
});

test.run();
