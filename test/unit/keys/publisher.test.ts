import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Server } from '../../../src/dbus/server/serve.ts';
import { parseKeyId } from '../../../src/ids.ts';
import type { keysService } from '../../../src/interfaces/keys.ts';
import { BusPublisher } from '../../../src/keys/publisher.ts';
import type { KeyInfo } from '../../../src/keys/store.ts';

const test = suite('what is published of keys');

const pair: KeyInfo = {
  id: parseKeyId('pair'),
  kind: 'pair',
  algorithm: 'ec-p256',
  usages: ['sign'],
  store: 'file',
  origin: 'generated',
  exportable: true,
  exportDerived: false,
  state: 'ok',
  created: new Date(1_700_000_000_123),
  spki: Buffer.alloc(1),
};
const other: KeyInfo = { ...pair, id: parseKeyId('other'), exportable: false, created: undefined };
const damaged: KeyInfo = {
  ...pair,
  id: parseKeyId('broken'),
  state: 'damaged',
  reason: 'it is truncated',
};

/** A publisher, the objects that it shows, and how often each was removed. */
function watched() {
  const publisher = new BusPublisher();
  const objects = new Map<string, Readonly<Record<string, unknown>>>();
  const removed: string[] = [];
  const states: (readonly [unknown, unknown])[] = [];
  const server = {
    putObject: (id: string, shown: Readonly<Record<string, unknown>>) => objects.set(id, shown),
    removeObject: (id: string) => {
      if (objects.delete(id)) removed.push(id);
    },
    setProperties: ({ Health, LastError }: Readonly<Record<string, unknown>>) =>
      states.push([Health, LastError]),
  };
  const attach = () => publisher.attach(server as unknown as Server<typeof keysService>); // what a display calls
  return { publisher, objects, removed, states, attach };
}

test('are its properties, the time in microseconds, before there is a server and after', () => {
  for (const isEarly of [true, false]) {
    const { publisher, objects, attach } = watched();
    if (!isEarly) attach();
    publisher.publish([pair, other], '');
    if (isEarly) attach();
    assert.equal(objects.get('pair'), {
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
    assert.equal(objects.get('other')?.['Exportable'], false);
    assert.equal(objects.get('other')?.['Created'], 0n);
  }
});

test('is that keys have gone which a listing no longer has', () => {
  const { publisher, objects, removed, attach } = watched();
  attach();
  publisher.publish([pair, other], '');
  publisher.publish([other], '');
  assert.equal([[...objects.keys()], removed], [['other'], ['pair']]);
  publisher.put(pair);
  publisher.remove(other.id);
  assert.equal([[...objects.keys()], removed], [['pair'], ['pair', 'other']]);
});

test('is another object where the kind or the store of an id changed, and the same one otherwise', () => {
  const { publisher, removed, attach } = watched();
  attach();
  publisher.put(pair);
  publisher.put({ ...pair, algorithm: 'ec-p384', state: 'unavailable' });
  assert.equal(removed, []);
  publisher.put({ ...pair, kind: 'symmetric' });
  assert.equal(removed, ['pair']);
  publisher.put({ ...pair, kind: 'symmetric', store: 'pkcs11' });
  assert.equal(removed, ['pair', 'pair']);
});

test('is each problem, until it has passed', () => {
  const { publisher, states, attach } = watched();
  attach();
  const state = () => [publisher.state.Health, publisher.state.LastError];
  const ok = ['ok', ''];
  assert.equal(state(), ok);
  publisher.put(damaged);
  assert.equal(state(), ['degraded', 'key "broken" is damaged: it is truncated']);
  publisher.remove(damaged.id);
  assert.equal(state(), ok);
  publisher.disk('the disk is full');
  publisher.fail('the token is gone');
  assert.equal(state(), ['degraded', 'the disk is full; the token is gone']);
  publisher.publish([damaged], 'the token is gone');
  const all = 'the disk is full; the token is gone; key "broken" is damaged: it is truncated';
  assert.equal(state(), ['degraded', all]);
  publisher.disk('');
  publisher.publish([pair], '');
  assert.equal(state(), ok);
  assert.equal(states.at(-1), ok);
  publisher.fail('');
  assert.equal(state(), ok);
});

test('is one problem where it keeps all keys of a store away', () => {
  const { publisher } = watched();
  const away: KeyInfo = { ...pair, state: 'unavailable', reason: 'the token is gone' };
  publisher.publish(
    [away, { ...other, ...away, id: other.id }, damaged],
    'edge: the token is gone',
  );
  const { LastError } = publisher.state;
  assert.is(LastError, 'edge: the token is gone; key "broken" is damaged: it is truncated');
});

test('is no secret, and not more than 1024 characters', () => {
  const { publisher } = watched();
  publisher.fail('pkcs11:token=a?pin-value=1234 is gone');
  assert.is(publisher.state.Health, 'degraded');
  assert.not.match(publisher.state.LastError, '1234');
  publisher.fail('x'.repeat(5000));
  assert.is(publisher.state.LastError.length, 1024);
});

test.run();
