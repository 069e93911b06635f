import type { KeyObject } from 'node:crypto';
import { ServiceError } from '../errors.ts';
import {
  decodeAlgorithm,
  encodeAlgorithm,
  isCanonical,
  type KeyAlgorithm,
  keyAlgorithmOf,
  publicKeyOf,
  type SignatureAlgorithm,
  type Signer,
  spkiOf,
  verifySignature,
} from './algorithm.ts';
import {
  bitString,
  context,
  decode,
  type Element,
  encode,
  integer,
  oid,
  raw,
  sequence,
  set,
  universal,
} from './der/asn1.ts';
import { childrenOf, isContext, isUniversal, membersOf, oidOf, wholeBytesOf } from './der/read.ts';
import {
  type BasicConstraints,
  decodeExtensions,
  type Extension,
  encodeExtensions,
  extensionOids,
  type KeyUsage,
  readAlternativeNames,
  readBasicConstraints,
  readExtendedKeyUsage,
  readKeyUsage,
} from './extensions.ts';
import { decodeName, encodeName, type Name } from './name.ts';
import { looksLikePem, parseOnePem, pemLabels } from './pem.ts';
import type { SubjectAlternativeName } from './subject-alternative-name.ts';

/** The extensions that a request asks for. */
export interface RequestedExtensions {
  readonly alternativeNames: readonly SubjectAlternativeName[];
  readonly basicConstraints: BasicConstraints | undefined;
  readonly keyUsage: readonly KeyUsage[];
  readonly extendedKeyUsage: readonly string[];
  /** OIDs of unsupported extensions. */
  readonly others: readonly string[];
}

/** A certificate request whose signature verifies, which proves possession of the private key. */
export interface CertificateRequest {
  readonly der: Buffer;
  readonly subject: Name;
  readonly subjectDer: Buffer;
  readonly spki: Buffer;
  readonly publicKey: KeyObject;
  readonly keyAlgorithm: KeyAlgorithm;
  readonly requested: RequestedExtensions;
}

const extensionRequest = '1.2.840.113549.1.9.14';
/** Tools on Windows use another OID. */
const extensionRequests = [extensionRequest, '1.3.6.1.4.1.311.2.1.14'];

/** The content of a request. */
export interface RequestContent {
  readonly subject: Name;
  /** The octets of the subject, where they are not free. */
  readonly subjectDer?: Buffer;
  readonly spki: Uint8Array;
  readonly extensions?: readonly Extension[];
}

/** Builds and signs a request (RFC 2986), in DER. */
export function buildCsr({
  signer,
  ...content
}: RequestContent & { readonly signer: Signer }): Promise<Buffer> {
  return signRequestInfo(encodeRequestInfo(content), signer);
}

/** The part of a request that is signed, the CertificationRequestInfo, in DER. */
export function encodeRequestInfo({
  subject,
  subjectDer = encodeName(subject),
  spki,
  extensions = [],
}: RequestContent): Buffer {
  const attributes =
    extensions.length === 0
      ? []
      : [sequence(oid(extensionRequest), set(encodeExtensions(extensions)))];
  return encode(sequence(integer(0), raw(subjectDer), raw(spki), context(0, attributes)));
}

/** Signs a CertificationRequestInfo; the request in DER. */
export async function signRequestInfo(info: Buffer, signer: Signer): Promise<Buffer> {
  const signature = await signer.sign(info);
  return encode(sequence(raw(info), encodeAlgorithm(signer.algorithm), bitString(signature)));
}

/** The algorithm of the signature of a request; NotSupported for one that is not verified here. */
export function signatureAlgorithmIn(csr: Buffer): SignatureAlgorithm {
  return decodeAlgorithm(membersOf(decode(csr, 'the CSR'), 'sequence', 'the CSR')[1]);
}

/** The members of a CertificationRequestInfo, which may be that of a whole request. */
export function requestInfoParts(request: Buffer): readonly Element[] {
  const parts = membersOf(decode(request, 'the CSR'), 'sequence', 'the CSR');
  const isWhole = !isUniversal(parts[0], universal.integer);
  return isWhole ? membersOf(parts[0], 'sequence', 'the CSR') : parts;
}

/** The CertificationRequestInfo of a request in DER. */
export function requestInfoOf(request: Buffer): Buffer {
  return encode(sequence(...requestInfoParts(request)));
}

/** Parses a request in DER or PEM and verifies its signature; InvalidArgs when it is malformed or forged. */
export function parseCsr(bytes: Uint8Array): CertificateRequest {
  const der = looksLikePem(bytes)
    ? parseOnePem(bytes, pemLabels.certificateRequest, 'the CSR')
    : bytes;
  const whole = membersOf(decode(der, 'the CSR'), 'sequence', 'the CSR');
  const [unsigned, algorithm, signature] = whole;
  const parts = membersOf(unsigned, 'sequence', 'the CSR');
  const [version, subject, key, attributes] = parts;
  if (whole.length > 3 || parts.length > 4) return malformed();
  if (unsigned === undefined || version === undefined || subject === undefined) return malformed();
  if (key === undefined || !encode(version).equals(encode(integer(0)))) return malformed();
  const keyDer = encode(key);
  const publicKey = publicKeyOf(keyDer);
  const signed = { message: encode(unsigned), signature: wholeBytesOf(signature, 'the CSR') };
  if (!verifySignature(decodeAlgorithm(algorithm), publicKey, signed)) {
    throw new ServiceError('InvalidArgs', 'the signature of the CSR is wrong');
  }
  const keyAlgorithm = keyAlgorithmOf(publicKey);
  return {
    der: Buffer.from(der),
    subject: decodeName(subject),
    subjectDer: encode(subject),
    spki: isCanonical(keyDer) ? keyDer : spkiOf(publicKey),
    publicKey,
    keyAlgorithm,
    requested: readRequested(requestedExtensions(attributes)),
  };
}

/** The requested extensions; other attributes are ignored, since nothing that they ask for is granted. */
function requestedExtensions(attributes: Element | undefined): readonly Extension[] {
  if (attributes === undefined) return [];
  if (!isContext(attributes, 0)) return malformed();
  const requests = childrenOf(attributes, 'the CSR').flatMap((attribute) => {
    const [type, values] = membersOf(attribute, 'sequence', 'the CSR');
    if (!extensionRequests.includes(oidOf(type, 'the CSR'))) return [];
    return membersOf(values, 'set', 'the CSR');
  });
  if (requests.length > 1) return malformed();
  return requests.flatMap(decodeExtensions);
}

function readRequested(extensions: readonly Extension[]): RequestedExtensions {
  const byOid = new Map(extensions.map((extension) => [extension.oid, extension]));
  const constraints = byOid.get(extensionOids.basicConstraints);
  const usage = byOid.get(extensionOids.keyUsage);
  const purposes = byOid.get(extensionOids.extendedKeyUsage);
  const names = byOid.get(extensionOids.subjectAlternativeName);
  // key identifiers are computed, not taken from the request
  const known: readonly string[] = Object.values(extensionOids);
  return {
    alternativeNames: names === undefined ? [] : readAlternativeNames(names),
    basicConstraints: constraints === undefined ? undefined : readBasicConstraints(constraints),
    keyUsage: usage === undefined ? [] : readKeyUsage(usage),
    extendedKeyUsage: purposes === undefined ? [] : readExtendedKeyUsage(purposes),
    others: [...byOid.keys()].filter((id) => !known.includes(id)),
  };
}

function malformed(): never {
  throw new ServiceError('InvalidArgs', 'the CSR is malformed');
}
