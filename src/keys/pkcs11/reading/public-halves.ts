/**
 * Finds the public half of a private key. An RSA key contains it. That of an EC key is in other objects, public keys
 * or certificates with the same CKA_ID; a signature proves which of them belongs to it.
 */
import { createPublicKey, type KeyObject as NodeKey, X509Certificate } from 'node:crypto';
import { curveOids, isEc, type PairAlgorithm } from '../../algorithm.ts';
import { tlv } from '../../material/der.ts';
import { tags } from '../../material/der-reader.ts';
import { algorithmOf, ecPublicKeyOid, ecSpki, pointOf } from '../../material/private-key.ts';
import { CKA, CKK, CKO, ed25519Params } from '../protocol/constants.ts';
import type { Handle, Template } from '../protocol/values.ts';
import type { ObjectView } from './token-view.ts';

/** The attributes of a private key that lead to its public half. */
export interface PrivateHalf {
  readonly handle: Handle;
  readonly label: string;
  readonly ckaId: Buffer;
  readonly keyType: number;
}

/** A candidate for the public half of a private key. */
export interface PublicHalf {
  readonly algorithm: PairAlgorithm;
  readonly spki: Buffer;
  /** Whether the private key itself proves it. */
  readonly isCertain: boolean;
}

/** The candidates for the public half of a private key, the most likely first. */
export interface Candidates {
  readonly halves: readonly PublicHalf[];
  /** Whether the service does not offer this kind of key, whatever its public half. */
  readonly isOther: boolean;
}

const maxCandidates = 8;
const publicKeyObjects: Template = [
  { type: CKA.CLASS, value: CKO.PUBLIC_KEY },
  { type: CKA.TOKEN, value: true },
];
const certificateObjects: Template = [
  { type: CKA.CLASS, value: CKO.CERTIFICATE },
  { type: CKA.TOKEN, value: true },
];

/** Finds all objects that may hold a public half, which makes `candidatesOf` cheap for many keys. */
export function findAllHalves(view: ObjectView): void {
  view.find(publicKeyObjects);
  view.find(certificateObjects);
}

/** Finds candidates: objects with the same CKA_ID, those with the same label first; by label alone without a CKA_ID. */
export function candidatesOf(view: ObjectView, key: PrivateHalf): Candidates {
  const keys = key.keyType === CKK.RSA ? ownHalf(view, key) : pointHalves(view, key);
  if (keys.length > 0 && keys.every((found) => found?.isCertain)) return offered(keys);
  const certificates = named(view, certificateObjects, key).map((handle) =>
    publicHalf(() => spkiOfCertificate(view.attribute(handle, CKA.VALUE))),
  );
  const found = offered([...keys, ...certificates]);
  return { ...found, isOther: found.isOther || isOtherKind(view, key) };
}

interface Found {
  readonly algorithm: PairAlgorithm | undefined;
  readonly spki: Buffer;
  readonly isCertain: boolean;
}

function offered(found: readonly (Found | undefined)[]): Candidates {
  const halves = new Map<string, PublicHalf>();
  for (const half of found) {
    const { algorithm } = half ?? {};
    if (half === undefined || algorithm === undefined) continue;
    const text = half.spki.toString('base64');
    if (halves.size < maxCandidates && !halves.has(text)) halves.set(text, { ...half, algorithm });
  }
  const isOther = found.some((half) => half !== undefined && half.algorithm === undefined);
  return { halves: [...halves.values()], isOther };
}

/** Objects with the CKA_ID of a key, those with its label first; by its label alone when none has its CKA_ID. */
function named(view: ObjectView, what: Template, { ckaId, label }: PrivateHalf): readonly Handle[] {
  const byId = ckaId.length === 0 ? [] : view.find([...what, { type: CKA.ID, value: ckaId }]);
  // not before: many objects may have the same label, or none
  if (byId.length === 0)
    return view.find([...what, { type: CKA.LABEL, value: label }]).slice(0, maxCandidates);
  const wanted = Buffer.from(label);
  const isLabelled = (handle: Handle) =>
    view.attribute(handle, CKA.LABEL)?.equals(wanted) ?? label === '';
  const sorted = [...byId.filter(isLabelled), ...byId.filter((handle) => !isLabelled(handle))];
  return sorted.slice(0, maxCandidates);
}

/** The public half that an RSA key contains. Some tokens store the public exponent only in the public key. */
function ownHalf(view: ObjectView, key: PrivateHalf): readonly (Found | undefined)[] {
  const n = view.attribute(key.handle, CKA.MODULUS);
  const exponentOf = (handle: Handle) => view.attribute(handle, CKA.PUBLIC_EXPONENT);
  if (n === undefined) return [];
  const same = [...publicKeyObjects, { type: CKA.MODULUS, value: n }];
  const e = exponentOf(key.handle) ?? view.find(same).map(exponentOf).find(isThere);
  if (e === undefined) return [];
  const [modulus, exponent] = [n, e].map((one) => one.toString('base64url'));
  const jwk = { kty: 'RSA', n: modulus ?? '', e: exponent ?? '' };
  return [publicHalf(() => createPublicKey({ key: jwk, format: 'jwk' }), true)];
}

function pointHalves(view: ObjectView, key: PrivateHalf): readonly (Found | undefined)[] {
  const own = view.attribute(key.handle, CKA.EC_PARAMS);
  return named(view, [...publicKeyObjects, { type: CKA.KEY_TYPE, value: key.keyType }], key).map(
    (handle) => {
      const params = own ?? view.attribute(handle, CKA.EC_PARAMS);
      const point = view.attribute(handle, CKA.EC_POINT);
      return params && point && pointHalf(params, point);
    },
  );
}

/** Tokens return the bare point or, as PKCS#11 requires, the point in an OCTET STRING. */
function pointHalf(params: Buffer, point: Buffer): Found | undefined {
  const isWrapped =
    point[0] === tags.octets && tlv(tags.octets, withoutHeader(point)).equals(point);
  const forms = isWrapped ? [withoutHeader(point), point] : [point];
  for (const form of forms) {
    const half = publicHalf(() => createPublicKey(spkiFrom(params, form)));
    if (half !== undefined) return half;
  }
  return undefined;
}

function spkiFrom(
  params: Buffer,
  point: Buffer,
): { readonly key: Buffer; readonly format: 'der'; readonly type: 'spki' } {
  const isEdwards = ed25519Params.some((known) => known.equals(params));
  const algorithm = isEdwards
    ? (ed25519Params[0] ?? params)
    : Buffer.concat([ecPublicKeyOid, params]);
  const bits = tlv(tags.bits, Buffer.of(0), point);
  const key = tlv(tags.sequence, tlv(tags.sequence, algorithm), bits);
  return { key, format: 'der', type: 'spki' };
}

function spkiOfCertificate(der: Buffer | undefined): NodeKey {
  return new X509Certificate(der ?? Buffer.alloc(0)).publicKey;
}

/** Reads a public key and normalizes its encoding; undefined when it is unreadable. */
function publicHalf(read: () => NodeKey, isCertain = false): Found | undefined {
  try {
    const key = read();
    const algorithm = algorithmOf(key);
    const spki =
      algorithm !== undefined && isEc(algorithm)
        ? ecSpki(algorithm, pointOf(key))
        : key.export({ type: 'spki', format: 'der' });
    return { algorithm, spki, isCertain };
  } catch {
    return undefined; // damaged, or of an algorithm unknown to OpenSSL
  }
}

function isOtherKind(view: ObjectView, { handle, keyType }: PrivateHalf): boolean {
  if (keyType === CKK.RSA) return false;
  if (keyType !== CKK.EC && keyType !== CKK.EC_EDWARDS) return true;
  const params = view.attribute(handle, CKA.EC_PARAMS);
  if (params === undefined || params[0] === tags.sequence) return false;
  return ![...Object.values(curveOids), ...ed25519Params].some((known) => known.equals(params));
}

function withoutHeader(point: Buffer): Buffer {
  return point.subarray((point[1] ?? 0) < 0x80 ? 2 : 2 + ((point[1] ?? 0) & 0x7f));
}

function isThere(bytes: Buffer | undefined): boolean {
  return bytes !== undefined;
}
