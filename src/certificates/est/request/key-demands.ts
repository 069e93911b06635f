/** The keys and the signatures that an EST server wants by csrattrs, as far as there is a choice. */
import {
  type KeyAlgorithm,
  keyAlgorithmOf,
  publicKeyOf,
  type SignatureAlgorithm,
} from '../../../x509/algorithm.ts';
import type { Answer, Order } from '../../issuers/issuer.ts';
import { type Demand, numberIn } from './csr-attributes.ts';

/** A key, and the algorithm that a request is signed with. */
export interface KeyChoice {
  readonly key: KeyAlgorithm;
  readonly signature: SignatureAlgorithm;
}

type Test = (choice: KeyChoice, value: Buffer | undefined) => boolean;

const ecPublicKey = '1.2.840.10045.2.1';
const isKey =
  (wanted: KeyAlgorithm): Test =>
  ({ key }) =>
    key === wanted;
const isSignature =
  (wanted: SignatureAlgorithm): Test =>
  ({ signature }) =>
    signature === wanted;
/** A hash stands for every signature algorithm with it. */
const hasHash =
  (hash: string): Test =>
  ({ signature }) =>
    signature.endsWith(hash);

const curves: ReadonlyMap<string, Test> = new Map([
  ['1.2.840.10045.3.1.7', isKey('ec-p256')],
  ['1.3.132.0.34', isKey('ec-p384')],
  ['1.3.132.0.35', isKey('ec-p521')],
]);
const tests: ReadonlyMap<string, Test> = new Map([
  ...curves,
  ['1.3.101.112', isKey('ed25519')],
  [ecPublicKey, ({ key }) => key.startsWith('ec-')],
  [
    '1.2.840.113549.1.1.1',
    ({ key }, size) =>
      size === undefined ? key.startsWith('rsa-') : key === `rsa-${numberIn(size)}`,
  ],
  ['1.2.840.10045.4.3.2', isSignature('ecdsa-sha256')],
  ['1.2.840.10045.4.3.3', isSignature('ecdsa-sha384')],
  ['1.2.840.10045.4.3.4', isSignature('ecdsa-sha512')],
  ['1.2.840.113549.1.1.11', isSignature('rsa-pkcs1-sha256')],
  ['1.2.840.113549.1.1.12', isSignature('rsa-pkcs1-sha384')],
  ['1.2.840.113549.1.1.13', isSignature('rsa-pkcs1-sha512')],
  ['2.16.840.1.101.3.4.2.1', hasHash('sha256')],
  ['2.16.840.1.101.3.4.2.2', hasHash('sha384')],
  ['2.16.840.1.101.3.4.2.3', hasHash('sha512')],
]);

/** Whether a demand about keys or signatures is met; undefined for any other. */
export function isMetBy(choice: KeyChoice, { oid, value }: Demand): boolean | undefined {
  return tests.get(oid)?.(choice, value);
}

/** The answer to an order whose key can be replaced by one that a server wants; undefined when it stays. */
export function rekeyFor(
  { key: { spki, alternatives = [] } }: Order,
  demands: readonly Demand[],
): Answer | undefined {
  const algorithms = betterKeys(demands, keyAlgorithmOf(publicKeyOf(spki)), alternatives);
  if (algorithms.length === 0) return undefined;
  const reason = `the server wants a key of the kind ${algorithms.join(' or ')}`;
  return { kind: 'rekey', reason, algorithms };
}

/**
 * Those of the alternatives to a key that meet more of the demands than it does, and as many as any of them; none when
 * the key is as good.
 */
export function betterKeys(
  demands: readonly Demand[],
  key: KeyAlgorithm,
  alternatives: readonly KeyAlgorithm[],
): readonly KeyAlgorithm[] {
  const missedBy = missesOf(demands);
  const least = Math.min(...alternatives.map(missedBy));
  return least < missedBy(key) ? alternatives.filter((one) => missedBy(one) === least) : [];
}

/** Those of some algorithms that meet as many of the demands as any of them; none when it does not matter. */
export function bestKeys(
  demands: readonly Demand[],
  allowed: readonly KeyAlgorithm[],
): readonly KeyAlgorithm[] {
  const missedBy = missesOf(demands);
  const least = Math.min(...allowed.map(missedBy));
  const best = allowed.filter((one) => missedBy(one) === least);
  return best.length === allowed.length ? [] : best;
}

/** How many of the demands a key cannot meet. */
function missesOf(demands: readonly Demand[]): (key: KeyAlgorithm) => number {
  const about = demands.filter(({ oid }) => tests.has(oid));
  // any other curve would meet a part of the demand for one
  const hasCurve = about.some(({ oid }) => curves.has(oid));
  const counted = about.filter(({ oid }) => !hasCurve || oid !== ecPublicKey);
  return (key) =>
    Math.min(...signaturesOf(key).map((signature) => missed(counted, { key, signature })));
}

/** The signature algorithm that meets most of the demands: that of the key where it is as good as any. */
export function bestSignature(
  demands: readonly Demand[],
  { key, signature: own }: KeyChoice,
): SignatureAlgorithm {
  const missedBy = (signature: SignatureAlgorithm) => missed(demands, { key, signature });
  return signaturesOf(key).reduce(
    (best, one) => (missedBy(one) < missedBy(best) ? one : best),
    own,
  );
}

function missed(demands: readonly Demand[], choice: KeyChoice): number {
  return demands.filter((demand) => isMetBy(choice, demand) === false).length;
}

function signaturesOf(key: KeyAlgorithm): readonly SignatureAlgorithm[] {
  if (key === 'ed25519') return ['ed25519'];
  if (key.startsWith('rsa-')) return ['rsa-pkcs1-sha256', 'rsa-pkcs1-sha384', 'rsa-pkcs1-sha512'];
  return ['ecdsa-sha256', 'ecdsa-sha384', 'ecdsa-sha512'];
}
