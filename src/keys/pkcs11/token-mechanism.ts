import { ServiceError } from '../../errors.ts';
import { type Algorithm, isEc, isRsa, modulusBits, orderBytes } from '../algorithm.ts';
import { digestInfo } from '../crypto/rsa-padding.ts';
import { ecdsaToDer } from '../material/der.ts';
import { digestOf, type Hash, type SignRequest } from '../mechanism.ts';
import { CK_PARAMS, CKG, CKM } from './protocol/constants.ts';
import type { Mechanism } from './protocol/values.ts';

/** A signature in terms of the token: its mechanism and input, and the conversion of its result. */
export interface TokenSignature {
  readonly mechanism: Mechanism;
  readonly input: Buffer;
  /** Unavailable when the result has not the length of a signature of the key: the token is faulty. */
  readonly finish: (signature: Buffer) => Buffer;
}

const ecdsa: Mechanism = { mechanism: CKM.ECDSA };
const eddsa: Mechanism = { mechanism: CKM.EDDSA };
const pkcs1: Mechanism = { mechanism: CKM.RSA_PKCS };
const hmac: Mechanism = { mechanism: CKM.SHA256_HMAC };
const pssMechanisms: Readonly<Record<Hash, Mechanism>> = {
  sha256: pss(CKM.SHA256, CKG.MGF1_SHA256, 32),
  sha384: pss(CKM.SHA384, CKG.MGF1_SHA384, 48),
  sha512: pss(CKM.SHA512, CKG.MGF1_SHA512, 64),
};

/** Converts a sign request for a token. Hashes here, because tokens differ in the combined mechanisms they support. */
export function tokenSignature(
  algorithm: Algorithm | undefined,
  request: SignRequest,
): TokenSignature {
  const { mechanism, data } = request;
  const checked = (signature: Buffer): Buffer => withLengthOf(algorithm, signature);
  switch (mechanism.family) {
    case 'ecdsa': {
      // not every token truncates a digest that is longer than the order
      const size = algorithm !== undefined && isEc(algorithm) ? orderBytes(algorithm) : data.length;
      const input = digestOf(request, mechanism.hash).subarray(0, size);
      return { mechanism: ecdsa, input, finish: (result) => ecdsaToDer(checked(result)) };
    }
    case 'rsa-pkcs1': {
      const input = digestInfo(mechanism.hash, digestOf(request, mechanism.hash));
      return { mechanism: pkcs1, input, finish: checked };
    }
    case 'rsa-pss': {
      const input = digestOf(request, mechanism.hash);
      return { mechanism: pssMechanisms[mechanism.hash], input, finish: checked };
    }
    case 'ed25519':
      return { mechanism: eddsa, input: data, finish: checked };
    case 'hmac-sha256':
      return { mechanism: hmac, input: data, finish: checked };
  }
}

function withLengthOf(algorithm: Algorithm | undefined, signature: Buffer): Buffer {
  if (algorithm !== undefined && signature.length !== signatureBytes(algorithm)) {
    const message = `the token returned a signature of ${signature.length} bytes`;
    throw new ServiceError('Unavailable', message);
  }
  return signature;
}

/** The bytes of a signature or MAC of a token. */
function signatureBytes(algorithm: Algorithm): number {
  if (isEc(algorithm)) return 2 * orderBytes(algorithm);
  if (isRsa(algorithm)) return modulusBits(algorithm) / 8;
  return algorithm === 'ed25519' ? 64 : 32;
}

/** AES-GCM with a tag of 16 bytes. */
export function gcm(nonce: Buffer, aad: Buffer): Mechanism {
  if (nonce.length !== 12) throw new ServiceError('InvalidArgs', 'a GCM nonce has 12 bytes');
  const parameter = { type: CK_PARAMS.AES_GCM, iv: nonce, ivBits: 96, aad, tagBits: 128 };
  return { mechanism: CKM.AES_GCM, parameter };
}

function pss(hashAlg: number, mgf: number, saltLen: number): Mechanism {
  const parameter = { type: CK_PARAMS.RSA_PSS, hashAlg, mgf, saltLen };
  return { mechanism: CKM.RSA_PKCS_PSS, parameter };
}
