/**
 * The attributes of objects that the service creates in a token. Private and secret keys are never extractable, and
 * every usage is explicit: tokens choose their own defaults for missing attributes.
 */

import { createPrivateKey, type KeyObject, randomBytes } from 'node:crypto';
import { ServiceError } from '../../errors.ts';
import type { KeyId } from '../../ids.ts';
import {
  curveOids,
  type EcAlgorithm,
  isEc,
  isRsa,
  modulusBits,
  type PairAlgorithm,
  type SymmetricAlgorithm,
  type Usage,
} from '../algorithm.ts';
import { tlv } from '../material/der.ts';
import { tags } from '../material/der-reader.ts';
import { pointOf } from '../material/private-key.ts';
import { type RsaParts, withEcScalar, withRsaParts } from '../material/private-parts.ts';
import { secretBytes } from '../material/secret-bytes.ts';
import type { Material } from '../store.ts';
import { CKA, CKK, CKM, CKO, ed25519Params } from './protocol/constants.ts';
import type { PairTemplate, SecretTemplate } from './protocol/operations.ts';
import type { Template } from './protocol/values.ts';

/**
 * The first bytes of the CKA_ID of a base key. The mark is in the token because records get lost: used as an
 * ordinary key, a base key would reveal every key that is derived from it.
 */
const baseMark = Buffer.from('ioedbase');
const ckaIdBytes = 16;

/** The names of a new object. */
export interface Names {
  readonly id: KeyId;
  readonly ckaId: Buffer;
}

const publicUsages: ReadonlySet<number> = new Set([
  CKA.VERIFY,
  CKA.ENCRYPT,
  CKA.VERIFY_RECOVER,
  CKA.WRAP,
  CKA.DERIVE,
]);

/** Returns a CKA_ID for the objects of a new key. */
export function newCkaId(usages: readonly Usage[]): Buffer {
  const mark = usages.includes('derive') ? baseMark : Buffer.alloc(0);
  return Buffer.concat([mark, randomBytes(ckaIdBytes - mark.length)]);
}

/** Whether a CKA_ID marks a base key, created by this service or by another instance of it. */
export function isBaseKey(ckaId: Buffer): boolean {
  return ckaId.subarray(0, baseMark.length).equals(baseMark);
}

/** The mechanism and attributes that generate a pair. */
export function pairTemplate(
  names: Names,
  algorithm: PairAlgorithm,
  usages: readonly Usage[],
): PairTemplate {
  return {
    mechanism: { mechanism: pairMechanism(algorithm) },
    publicKey: [...publicAttributes(names, usages), ...pairParameters(algorithm)],
    privateKey: privateAttributes(names, usages),
  };
}

/**
 * The same without the usages of the public half, which restrict nothing: tpm2-pkcs11 applies them to the private half
 * too, and then rejects the template as contradictory.
 */
export function leanPairTemplate(template: PairTemplate): PairTemplate {
  return {
    ...template,
    publicKey: template.publicKey.filter(({ type }) => !publicUsages.has(type)),
  };
}

/** The mechanism and attributes that generate a symmetric key. A base key is a generic secret, used only for HMAC. */
export function secretTemplate(
  names: Names,
  algorithm: SymmetricAlgorithm,
  usages: readonly Usage[],
): SecretTemplate {
  const aes = algorithm === 'aes-256' && !usages.includes('derive');
  return {
    mechanism: { mechanism: aes ? CKM.AES_KEY_GEN : CKM.GENERIC_SECRET_KEY_GEN },
    key: [...secretAttributes(names, aes), { type: CKA.VALUE_LEN, value: 32 }],
  };
}

/** The objects that an import creates; the caller wipes the key with `wipe` afterwards. */
export function importTemplates(
  names: Names,
  material: Material,
  usages: readonly Usage[],
): { readonly key: Template; readonly publicKey: Template | undefined } {
  if (material.kind === 'raw') {
    const aes = material.algorithm === 'aes-256' && !usages.includes('derive');
    const value = { type: CKA.VALUE, value: padded(material.bytes) };
    return { key: [...secretAttributes(names, aes), value], publicKey: undefined };
  }
  const key = createPrivateKey({ key: material.bytes, format: 'der', type: 'pkcs8' });
  const { algorithm } = material;
  if (isRsa(algorithm)) return withRsaParts(key, (parts) => rsaTemplates(names, parts, usages));
  if (isEc(algorithm)) return ecTemplates(names, { key, algorithm }, usages);
  throw new ServiceError('NotSupported', `${algorithm} cannot be imported into a token`);
}

/** Wipes the values of a template. */
export function wipe(template: Template): void {
  for (const { value } of template) if (Buffer.isBuffer(value)) value.fill(0);
}

function classAndType(objectClass: number, keyType: number): Template {
  return [
    { type: CKA.CLASS, value: objectClass },
    { type: CKA.KEY_TYPE, value: keyType },
  ];
}

function publicAttributes({ id, ckaId }: Names, usages: readonly Usage[]): Template {
  return [
    { type: CKA.TOKEN, value: true },
    { type: CKA.PRIVATE, value: false },
    { type: CKA.LABEL, value: id },
    { type: CKA.ID, value: ckaId },
    { type: CKA.VERIFY, value: usages.includes('sign') },
    { type: CKA.ENCRYPT, value: usages.includes('decrypt') },
    { type: CKA.VERIFY_RECOVER, value: false },
    { type: CKA.WRAP, value: false },
    { type: CKA.DERIVE, value: false },
  ];
}

function privateAttributes({ id, ckaId }: Names, usages: readonly Usage[]): Template {
  return [
    { type: CKA.TOKEN, value: true },
    { type: CKA.PRIVATE, value: true },
    { type: CKA.SENSITIVE, value: true },
    { type: CKA.EXTRACTABLE, value: false },
    { type: CKA.LABEL, value: id },
    { type: CKA.ID, value: ckaId },
    { type: CKA.SIGN, value: usages.includes('sign') },
    { type: CKA.DECRYPT, value: usages.includes('decrypt') },
    { type: CKA.SIGN_RECOVER, value: false },
    { type: CKA.UNWRAP, value: false },
    { type: CKA.DERIVE, value: false },
  ];
}

function secretAttributes({ id, ckaId }: Names, aes: boolean): Template {
  return [
    ...classAndType(CKO.SECRET_KEY, aes ? CKK.AES : CKK.GENERIC_SECRET),
    { type: CKA.TOKEN, value: true },
    { type: CKA.PRIVATE, value: true },
    { type: CKA.SENSITIVE, value: true },
    { type: CKA.EXTRACTABLE, value: false },
    { type: CKA.LABEL, value: id },
    { type: CKA.ID, value: ckaId },
    { type: CKA.SIGN, value: !aes },
    { type: CKA.VERIFY, value: !aes },
    { type: CKA.ENCRYPT, value: aes },
    { type: CKA.DECRYPT, value: aes },
    { type: CKA.WRAP, value: false },
    { type: CKA.UNWRAP, value: false },
    { type: CKA.DERIVE, value: false },
  ];
}

function pairMechanism(algorithm: PairAlgorithm): number {
  if (isRsa(algorithm)) return CKM.RSA_PKCS_KEY_PAIR_GEN;
  return isEc(algorithm) ? CKM.EC_KEY_PAIR_GEN : CKM.EC_EDWARDS_KEY_PAIR_GEN;
}

function pairParameters(algorithm: PairAlgorithm): Template {
  if (isRsa(algorithm)) {
    return [
      { type: CKA.MODULUS_BITS, value: modulusBits(algorithm) },
      { type: CKA.PUBLIC_EXPONENT, value: Buffer.from([1, 0, 1]) },
    ];
  }
  const params = isEc(algorithm) ? curveOids[algorithm] : ed25519Params[0];
  return [{ type: CKA.EC_PARAMS, value: params ?? Buffer.alloc(0) }];
}

function rsaTemplates(
  names: Names,
  parts: RsaParts,
  usages: readonly Usage[],
): { readonly key: Template; readonly publicKey: Template } {
  const publicParts = () => [
    { type: CKA.MODULUS, value: Buffer.from(parts.modulus) },
    { type: CKA.PUBLIC_EXPONENT, value: Buffer.from(parts.publicExponent) },
  ];
  return {
    publicKey: [
      ...classAndType(CKO.PUBLIC_KEY, CKK.RSA),
      ...publicAttributes(names, usages),
      ...publicParts(),
    ],
    key: [
      ...classAndType(CKO.PRIVATE_KEY, CKK.RSA),
      ...privateAttributes(names, usages),
      ...publicParts(),
      { type: CKA.PRIVATE_EXPONENT, value: Buffer.from(parts.privateExponent) },
      { type: CKA.PRIME_1, value: Buffer.from(parts.prime1) },
      { type: CKA.PRIME_2, value: Buffer.from(parts.prime2) },
      { type: CKA.EXPONENT_1, value: Buffer.from(parts.exponent1) },
      { type: CKA.EXPONENT_2, value: Buffer.from(parts.exponent2) },
      { type: CKA.COEFFICIENT, value: Buffer.from(parts.coefficient) },
    ],
  };
}

function ecTemplates(
  names: Names,
  { key, algorithm }: { readonly key: KeyObject; readonly algorithm: EcAlgorithm },
  usages: readonly Usage[],
): { readonly key: Template; readonly publicKey: Template } {
  const params = curveOids[algorithm];
  const wrapped = tlv(tags.octets, pointOf(key));
  return {
    publicKey: [
      ...classAndType(CKO.PUBLIC_KEY, CKK.EC),
      ...publicAttributes(names, usages),
      { type: CKA.EC_PARAMS, value: Buffer.from(params) },
      { type: CKA.EC_POINT, value: wrapped },
    ],
    key: [
      ...classAndType(CKO.PRIVATE_KEY, CKK.EC),
      ...privateAttributes(names, usages),
      { type: CKA.EC_PARAMS, value: Buffer.from(params) },
      { type: CKA.VALUE, value: withEcScalar(key, (scalar) => Buffer.from(scalar)) },
    ],
  };
}

/** Zero-pads a key to the length that tokens require, which HMAC does too (RFC 2104 2): the MACs stay the same. */
function padded(bytes: Buffer): Buffer {
  const value = secretBytes(Math.max(bytes.length, 32));
  bytes.copy(value);
  return value;
}
