/** For how long a found or missing key is cached, and which calls reach the Keys service meanwhile. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KeyFinder } from '../../../../src/certificates/keys/key-finder.ts';
import type {
  KeyLookup,
  KeyState,
  SigningKeys,
} from '../../../../src/certificates/keys/keys-client.ts';
import { ServiceError } from '../../../../src/errors.ts';
import type { Certificate } from '../../../../src/x509/certificate.ts';
import { failureOf } from '../../../support/failure.ts';
import { via } from '../../../support/via.ts';
import { makeCa, makeKey } from '../../../support/x509/openssl.ts';

interface Setting {
  finder: KeyFinder;
  keys: Keys;
  now: number;
}

const test = suite<Setting>('the finder of keys');
const certificate = await makeCa({ name: 'CN=it', key: makeKey('ed25519') });
const other = await makeCa({ name: 'CN=other', key: makeKey('ed25519') });
const secondMs = 1000;

/** Keys in the states that a test defines; those that match are that of `certificate`. */
class Keys implements Pick<SigningKeys, 'lookup'> {
  readonly calls: string[] = [];
  readonly states = new Map<string, KeyState>();
  isAway = false;
  /** Holds every search until it is resolved. */
  hold: Promise<void> | undefined;

  lookup(): KeyLookup {
    return {
      stateOf: (id) => {
        this.calls.push(`state of ${id}`);
        return this.#respond(this.states.get(id) ?? 'missing');
      },
      find: async (spki, likely) => {
        this.calls.push(`find, likely ${likely.join()}`);
        await this.hold;
        const found = [...this.states].find(([, state]) => state === 'matches')?.[0];
        return this.#respond(spki.equals(certificate.spki) ? found : undefined);
      },
    };
  }

  /** The calls since the last query. */
  recent(): readonly string[] {
    return this.calls.splice(0);
  }

  #respond<T>(value: T): Promise<T> {
    if (this.isAway) return Promise.reject(new ServiceError('Unavailable', 'no keys'));
    return Promise.resolve(value);
  }
}

test.before.each((context) => {
  context.keys = new Keys();
  context.now = Date.parse('2026-06-01T00:00:00Z');
  const { keys } = context;
  const notUsed = (): never => {
    throw new Error('the finder only looks keys up');
  };
  const all = { lookup: () => keys.lookup(), signer: notUsed, contradicts: notUsed };
  context.finder = new KeyFinder(all, () => new Date(context.now));
});

const search = 'find, likely own';
const sparingly = ({ finder }: Setting, of: Certificate = certificate): Promise<string> =>
  finder.findSparingly(of, 'own', 'request');

test('looks a missing key up again after 30 seconds', async (context) => {
  const { keys } = context;
  assert.is(await sparingly(context), '');
  keys.states.set('k', 'matches');
  context.now += 30 * secondMs - 1;
  assert.is(await sparingly(context), '');
  assert.equal(keys.recent(), [search]);
  context.now += 1;
  assert.is(await sparingly(context), 'k');
  assert.equal(keys.recent(), [search]);
});

test('calls keys that were unreachable again after 5 seconds', async (context) => {
  const { keys } = context;
  keys.isAway = true;
  keys.states.set('k', 'matches');
  assert.is(await sparingly(context), '');
  keys.isAway = false;
  context.now += 5 * secondMs - 1;
  assert.is(await sparingly(context), '');
  assert.equal(keys.recent(), [search]);
  context.now += 1;
  assert.is(await sparingly(context), 'k');
  assert.equal(keys.recent(), [search]);
});

test('looks up again at once when the clock was set back', async (context) => {
  const { keys } = context;
  assert.is(await sparingly(context), '');
  keys.states.set('k', 'matches');
  context.now -= 86_400 * secondMs;
  assert.is(await sparingly(context), 'k');
  assert.equal(keys.recent(), [search, search]);
});

test('caches what it found, and does not wait after it is evicted', async (context) => {
  const { finder, keys } = context;
  keys.states.set('k', 'matches');
  assert.is(finder.known(certificate), '');
  assert.is(await sparingly(context), 'k');
  assert.is(finder.known(certificate), 'k');
  assert.is(await sparingly(context), 'k');
  context.now += 86_400 * secondMs;
  assert.is(await sparingly(context), 'k');
  assert.equal(keys.recent(), [search]);
  finder.evict(certificate);
  assert.is(await sparingly(context), 'k');
  assert.equal(keys.recent(), [search]);
  finder.evict(certificate);
  assert.is(finder.known(certificate), '');
  assert.is(await sparingly(context), 'k');
  assert.equal(keys.recent(), [search]);
});

test('looks up once for concurrent callers, and separately for each certificate', async (context) => {
  const { finder, keys } = context;
  keys.states.set('k', 'matches');
  let release = (): void => undefined;
  keys.hold = new Promise((resolve) => {
    release = resolve;
  });
  const all = [sparingly(context), sparingly(context), sparingly(context, other)];
  release();
  assert.equal(await Promise.all(all), ['k', 'k', '']);
  assert.equal(keys.recent(), [search, search]);
  assert.is(finder.known(other), '');
  assert.is(finder.known(undefined), '');
});

test('looks a key up for an operation every time, and rejects on failure', async (context) => {
  const { finder, keys } = context;
  assert.is(await finder.find(certificate, 'own', via), '');
  keys.states.set('k', 'matches');
  assert.is(await finder.find(certificate, 'own', via), 'k');
  assert.is(await finder.find(certificate, 'own', via), 'k');
  assert.equal(keys.recent(), [search, search, search]);
  assert.is(finder.known(certificate), 'k');
  keys.isAway = true;
  assert.is(await failureOf(finder.find(certificate, 'own', via)), 'Unavailable');
});

const plain = { id: 'own', certificate, storedKeyId: '' };

test('refreshes the cache: confirmed and unreachable keys stay, removed ones do not', async (context) => {
  const { finder, keys } = context;
  keys.states.set('k', 'matches');
  await finder.refresh([plain], via);
  assert.equal(keys.recent(), [search]);
  await finder.refresh([plain], via);
  assert.equal(keys.recent(), ['state of k']);
  assert.not.ok(finder.isOutdated);
  keys.states.set('k', 'unavailable');
  await finder.refresh([plain], via);
  assert.is(finder.known(certificate), 'k');
  assert.ok(finder.isOutdated);
  keys.states.set('k', 'differs');
  keys.states.set('moved', 'matches');
  await finder.refresh([plain], via);
  assert.is(finder.known(certificate), 'moved');
  assert.not.ok(finder.isOutdated);
  keys.states.delete('moved');
  await finder.refresh([plain], via);
  assert.is(finder.known(certificate), '');
});

test('looks up at once after a refresh, whatever was missing before', async (context) => {
  const { finder, keys } = context;
  assert.is(await sparingly(context), '');
  await finder.refresh([plain], via);
  keys.states.set('k', 'matches');
  assert.is(await sparingly(context), 'k');
});

test('stops the refresh when the keys are unreachable, and reports so until they are reachable', async (context) => {
  const { finder, keys } = context;
  keys.states.set('k', 'matches');
  await finder.refresh([plain], via);
  keys.recent();
  keys.isAway = true;
  await finder.refresh([plain, { ...plain, certificate: other }], via);
  assert.equal(keys.recent(), ['state of k']);
  assert.ok(finder.isOutdated);
  assert.is(finder.known(certificate), 'k');
  keys.isAway = false;
  await finder.refresh([plain], via);
  assert.not.ok(finder.isOutdated);
});

const stored = { id: 'own', certificate, storedKeyId: 'named' };

test('keeps a stored key id that never existed, and replaces one of a removed or different key', async (context) => {
  const { finder, keys } = context;
  const replacement = async (): Promise<string | undefined> => {
    await finder.refresh([stored], via);
    return finder.replacementOf('own', certificate);
  };
  keys.states.set('k', 'matches');
  assert.is(await replacement(), undefined, 'it may be made later');
  assert.equal(keys.recent(), ['state of named']);
  keys.states.set('named', 'differs');
  assert.is(await replacement(), 'k', 'it is the key of something else');
  assert.equal(keys.recent(), ['state of named', search]);
  assert.is(await replacement(), 'k');
  assert.equal(keys.recent(), ['state of named', 'state of k']);
  keys.states.set('named', 'matches');
  assert.is(await replacement(), undefined, 'it came back');
  keys.states.delete('named');
  assert.is(await replacement(), 'k', 'it was there');
  keys.states.set('k', 'differs');
  assert.is(await replacement(), '', 'and nothing is in its place');
  keys.states.set('named', 'unavailable');
  assert.is(await replacement(), '', 'which stays while it is out of reach');
  assert.ok(finder.isOutdated);
  assert.is(finder.known(certificate), '', 'what is stored is not looked for');
});

test('applies a replacement to one id and one certificate only', async ({ finder, keys }) => {
  keys.states.set('named', 'differs');
  await finder.refresh([stored], via);
  assert.is(finder.replacementOf('own', certificate), '');
  assert.is(finder.replacementOf('own', other), undefined);
  assert.is(finder.replacementOf('another', certificate), undefined);
  assert.is(finder.replacementOf('own', undefined), undefined);
});

test.run();
