import { createPublicKey, type JsonWebKey } from 'node:crypto';
import type { Handle, Template } from 'pkcs11js';
import {
  type Algorithm,
  type EcAlgorithm,
  isPairAlgorithm,
  orderBytes,
  type Usage,
} from '../algorithm.ts';
import type { ObjectSelector } from '../pkcs11-uri.ts';
import { CKA, CKK, CKO } from './constants.ts';
import type { Session } from './session.ts';
import { ulong } from './slots.ts';

/** A private or secret key on a token, as its attributes describe it. */
export interface KeyObject {
  readonly handle: Handle;
  readonly kind: 'pair' | 'symmetric';
  readonly label: string;
  readonly ckaId: Buffer;
  readonly keyType: number;
  /** `undefined` for a kind of key that the service does not offer. */
  readonly algorithm: Algorithm | undefined;
  readonly usages: readonly Usage[];
  /** The public half of a pair, `undefined` when the token does not hold it. */
  readonly spki: Buffer | undefined;
}

/** DER of the object identifiers of the curves. */
export const CURVE_OIDS: Readonly<Record<EcAlgorithm, Buffer>> = {
  'ec-p256': Buffer.from('06082a8648ce3d030107', 'hex'),
  'ec-p384': Buffer.from('06052b81040022', 'hex'),
  'ec-p521': Buffer.from('06052b81040023', 'hex'),
};

/** Ed25519 as an object identifier, and as the PrintableString that PKCS#11 3.0 names too. */
export const ED25519_PARAMS: readonly Buffer[] = [
  Buffer.from('06032b6570', 'hex'),
  Buffer.from('130c656477617264733235353139', 'hex'),
];

const JWK_CURVES: Readonly<Record<EcAlgorithm, string>> = {
  'ec-p256': 'P-256',
  'ec-p384': 'P-384',
  'ec-p521': 'P-521',
};

const PUBLIC: Template = [
  { type: CKA.CLASS, value: CKO.PUBLIC_KEY },
  { type: CKA.TOKEN, value: true },
];

/** Every private and secret key of the token that a selector matches. */
export function readKeys(session: Session, selector: ObjectSelector): readonly KeyObject[] {
  const criteria: Template = [
    { type: CKA.TOKEN, value: true },
    ...(selector.object === undefined ? [] : [{ type: CKA.LABEL, value: selector.object }]),
    ...(selector.id === undefined ? [] : [{ type: CKA.ID, value: selector.id }]),
  ];
  const wanted = (type: string) => selector.type === undefined || selector.type === type;
  const find = (value: number) => session.find([{ type: CKA.CLASS, value }, ...criteria]);
  return [
    ...(wanted('private') ? find(CKO.PRIVATE_KEY) : []).map((key) => readPrivate(session, key)),
    ...(wanted('secret-key') ? find(CKO.SECRET_KEY) : []).map((key) => readSecret(session, key)),
  ];
}

/** The public key objects that belong to a private key: same id, or without one the same label. */
export function findPublic(
  session: Session,
  { ckaId, label, keyType }: Pick<KeyObject, 'ckaId' | 'label' | 'keyType'>,
): readonly Handle[] {
  const name =
    ckaId.length > 0 ? { type: CKA.ID, value: ckaId } : { type: CKA.LABEL, value: label };
  return session.find([...PUBLIC, { type: CKA.KEY_TYPE, value: keyType }, name]);
}

/** The objects of a key, public ones last: both of id and label, so that no other key's are among them. */
export function findAll(
  session: Session,
  { label, ckaId }: { readonly label: string; readonly ckaId: Buffer },
): readonly Handle[] {
  const keys = readKeys(session, { object: label }).filter((key) => key.ckaId.equals(ckaId));
  const publics = session
    .find([...PUBLIC, { type: CKA.LABEL, value: label }])
    .filter((handle) => (session.attribute(handle, CKA.ID) ?? Buffer.alloc(0)).equals(ckaId));
  return [...keys.map(({ handle }) => handle), ...publics];
}

function readPrivate(session: Session, handle: Handle): KeyObject {
  const common = readCommon(session, handle);
  const usages: Usage[] = [];
  if (flag(session, handle, CKA.SIGN)) usages.push('sign');
  if (flag(session, handle, CKA.DECRYPT)) usages.push('decrypt');
  const found = readPublic(session, { handle, ...common });
  const algorithm = found?.algorithm;
  return {
    handle,
    kind: 'pair',
    ...common,
    algorithm,
    usages: algorithm?.startsWith('rsa-') ? usages : usages.filter((usage) => usage === 'sign'),
    spki: found?.spki,
  };
}

function readSecret(session: Session, handle: Handle): KeyObject {
  const common = readCommon(session, handle);
  const length = ulong(session.attribute(handle, CKA.VALUE_LEN) ?? Buffer.alloc(0));
  const isAes = common.keyType === CKK.AES && length === 32;
  const isMac = common.keyType === CKK.GENERIC_SECRET || common.keyType === CKK.SHA256_HMAC;
  const usages: Usage[] = [];
  if (isAes && flag(session, handle, CKA.ENCRYPT)) usages.push('encrypt');
  if (isMac && flag(session, handle, CKA.SIGN)) usages.push('sign');
  const algorithm = isAes ? 'aes-256' : isMac ? 'hmac-sha256' : undefined;
  return { handle, kind: 'symmetric', ...common, algorithm, usages, spki: undefined };
}

function readCommon(
  session: Session,
  handle: Handle,
): { readonly label: string; readonly ckaId: Buffer; readonly keyType: number } {
  const [label, ckaId, keyType] = session.attributes(handle, [CKA.LABEL, CKA.ID, CKA.KEY_TYPE]);
  return {
    label: (label ?? Buffer.alloc(0)).toString('utf8'),
    ckaId: ckaId ?? Buffer.alloc(0),
    keyType: ulong(keyType ?? Buffer.alloc(0)),
  };
}

function flag(session: Session, handle: Handle, type: number): boolean {
  const value = session.attribute(handle, type);
  return value !== undefined && value.length > 0 && value[0] !== 0;
}

interface PublicHalf {
  readonly algorithm: Algorithm;
  readonly spki: Buffer;
}

function readPublic(
  session: Session,
  key: Pick<KeyObject, 'handle' | 'ckaId' | 'label' | 'keyType'>,
): PublicHalf | undefined {
  // An RSA private key holds its public half; of an EC key only the public object does.
  const sources = key.keyType === CKK.RSA ? [key.handle] : findPublic(session, key);
  const params = key.keyType === CKK.RSA ? undefined : session.attribute(key.handle, CKA.EC_PARAMS);
  for (const source of sources) {
    const jwk =
      params === undefined ? rsaJwk(session, source) : curveJwk(session, { source, params });
    if (jwk === undefined) continue;
    const spki = createPublicKey({ key: jwk.key, format: 'jwk' });
    return {
      algorithm: jwk.algorithm,
      spki: spki.export({ type: 'spki', format: 'der' }),
    };
  }
  return undefined;
}

interface Jwk {
  readonly algorithm: Algorithm;
  readonly key: JsonWebKey;
}

function rsaJwk(session: Session, source: Handle): Jwk | undefined {
  const n = session.attribute(source, CKA.MODULUS);
  const e = session.attribute(source, CKA.PUBLIC_EXPONENT);
  if (n === undefined || e === undefined) return undefined;
  const algorithm = `rsa-${bitLength(n)}`;
  if (!isPairAlgorithm(algorithm)) return undefined;
  return { algorithm, key: { kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') } };
}

function curveJwk(
  session: Session,
  { source, params }: { readonly source: Handle; readonly params: Buffer },
): Jwk | undefined {
  const point = session.attribute(source, CKA.EC_POINT);
  if (point === undefined) return undefined;
  if (ED25519_PARAMS.some((known) => known.equals(params))) {
    const x = point.subarray(-32).toString('base64url');
    return { algorithm: 'ed25519', key: { kty: 'OKP', crv: 'Ed25519', x } };
  }
  for (const algorithm of ['ec-p256', 'ec-p384', 'ec-p521'] as const) {
    if (!CURVE_OIDS[algorithm].equals(params)) continue;
    // Tokens give the point as it is or, as PKCS#11 says, inside an OCTET STRING: it ends either way.
    const size = orderBytes(algorithm);
    const [x, y] = [point.subarray(-2 * size, -size), point.subarray(-size)];
    const coordinates = { x: x.toString('base64url'), y: y.toString('base64url') };
    return { algorithm, key: { kty: 'EC', crv: JWK_CURVES[algorithm], ...coordinates } };
  }
  return undefined;
}

function bitLength(integer: Buffer): number {
  const first = integer.findIndex((byte) => byte !== 0);
  if (first < 0) return 0;
  return (integer.length - first) * 8 - Math.clz32(integer[first] ?? 0) + 24;
}
