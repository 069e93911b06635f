import { hash } from 'node:crypto';
import { notOneOf, oneOf, ServiceError } from '../errors.ts';
import {
  encryptMechanisms,
  pairAlgorithms,
  signMechanisms,
  symmetricAlgorithms,
} from '../interfaces/enumerations.ts';
import { type Algorithm, isEc, isRsa } from './algorithm.ts';

/** The hashes of the sign mechanisms. */
export type Hash = 'sha256' | 'sha384' | 'sha512';

type HashFamily = 'ecdsa' | 'rsa-pkcs1' | 'rsa-pss';

/** A sign mechanism: its family and, for families that sign a digest, the hash. */
export type SignMechanism =
  | { readonly family: HashFamily; readonly hash: Hash }
  | { readonly family: 'ed25519' | 'hmac-sha256' };

/** An encrypt mechanism. */
export type EncryptMechanism = (typeof encryptMechanisms)[number];

/** The data to sign and the mechanism; with `prehashed` the data is the digest. */
export interface SignRequest {
  readonly mechanism: SignMechanism;
  readonly data: Buffer;
  readonly prehashed: boolean;
}

const hashLengths = { sha256: 32, sha384: 48, sha512: 64 } as const;

/** The length of a digest in bytes. */
export function hashBytes(name: Hash): number {
  return hashLengths[name];
}

const signMechanismsByName: ReadonlyMap<string, SignMechanism> = new Map(
  signMechanisms.map((name) => [name, signMechanismOf(name)]),
);

function signMechanismOf(name: (typeof signMechanisms)[number]): SignMechanism {
  if (name === 'ed25519' || name === 'hmac-sha256') return { family: name };
  const at = name.lastIndexOf('-');
  const [family, hashName] = [name.slice(0, at), name.slice(at + 1)];
  return { family: family as HashFamily, hash: hashName as Hash }; // the rest of the list is families with hashes
}

/** A sign mechanism by its name on the bus, or InvalidArgs. */
export function parseSignMechanism(text: string): SignMechanism {
  const mechanism = signMechanismsByName.get(text);
  if (mechanism === undefined) throw notOneOf(text, 'a sign mechanism', signMechanisms);
  return mechanism;
}

/** An encrypt mechanism by its name on the bus, or InvalidArgs. */
export function parseEncryptMechanism(text: string): EncryptMechanism {
  return oneOf(text, 'an encrypt mechanism', encryptMechanisms);
}

/** InvalidArgs when the data is prehashed and does not have the length of the hash. */
export function parseSignRequest(
  mechanism: SignMechanism,
  data: Buffer,
  prehashed: boolean,
): SignRequest {
  if (!prehashed) return { mechanism, data, prehashed };
  if (!('hash' in mechanism)) {
    throw new ServiceError('InvalidArgs', `${mechanism.family} signs messages, not digests`);
  }
  if (data.length !== hashBytes(mechanism.hash)) {
    const found = `${data.length} bytes are not a ${mechanism.hash} digest`;
    throw new ServiceError('InvalidArgs', found);
  }
  return { mechanism, data, prehashed };
}

/** The digest that a request of a family with a hash signs. */
export function digestOf(request: SignRequest, name: Hash): Buffer {
  return request.prehashed ? request.data : hash(name, request.data, 'buffer');
}

const signers: ReadonlyMap<Algorithm, readonly SignMechanism['family'][]> = new Map(
  [...pairAlgorithms, ...symmetricAlgorithms].map((one) => [one, familiesOf(one)]),
);

function familiesOf(algorithm: Algorithm): readonly SignMechanism['family'][] {
  if (isEc(algorithm)) return ['ecdsa'];
  if (isRsa(algorithm)) return ['rsa-pkcs1', 'rsa-pss'];
  return algorithm === 'aes-256' ? [] : [algorithm];
}

/** Whether keys of an algorithm can be used with a sign mechanism. */
export function signsWith(algorithm: Algorithm, mechanism: SignMechanism): boolean {
  return signers.get(algorithm)?.includes(mechanism.family) ?? false;
}
