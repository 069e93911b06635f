/** Decrypts with a password: PBES2 (RFC 8018), and the schemes of PKCS#12 (RFC 7292 appendix C). */
import { createDecipheriv, pbkdf2Sync } from 'node:crypto';
import rc2 from 'node-forge/lib/rc2.js';
import util from 'node-forge/lib/util.js';
import { ServiceError } from '../../errors.ts';
import type { Tlv } from '../der/tlv.ts';
import { isInteger, malformed, membersOf, numberOf, octetsOf, oidOf } from './elements.ts';
import { hashes } from './hashes.ts';
import type { IterationBudget } from './iterations.ts';
import { deriveKey, digestsFor, purposes } from './key-derivation.ts';
import { wrongPassword } from './password.ts';

/** What the octets of one file are decrypted with. */
export interface Secrets {
  readonly utf8: Buffer;
  readonly utf16: Buffer;
  readonly budget: IterationBudget;
}

/** A cipher in CBC mode with the octets of its key; RC2 has effective bits. */
interface Cipher {
  readonly name: string;
  readonly keyBytes: number;
  readonly rc2Bits?: number;
}

const pbes2 = '1.2.840.113549.1.5.13';
const pbkdf2 = '1.2.840.113549.1.5.12';

const pkcs12Schemes = new Map<string, Cipher>([
  ['1.2.840.113549.1.12.1.3', { name: 'des-ede3-cbc', keyBytes: 24 }],
  ['1.2.840.113549.1.12.1.4', { name: 'des-ede-cbc', keyBytes: 16 }],
  ['1.2.840.113549.1.12.1.5', { name: 'rc2', keyBytes: 16, rc2Bits: 128 }],
  ['1.2.840.113549.1.12.1.6', { name: 'rc2', keyBytes: 5, rc2Bits: 40 }],
]);

const pbes2Ciphers = new Map<string, Cipher>([
  ['2.16.840.1.101.3.4.1.2', { name: 'aes-128-cbc', keyBytes: 16 }],
  ['2.16.840.1.101.3.4.1.22', { name: 'aes-192-cbc', keyBytes: 24 }],
  ['2.16.840.1.101.3.4.1.42', { name: 'aes-256-cbc', keyBytes: 32 }],
  ['1.2.840.113549.3.7', { name: 'des-ede3-cbc', keyBytes: 24 }],
]);

const pseudoRandomFunctions = new Map([
  ['1.2.840.113549.2.7', 'sha1'],
  ['1.2.840.113549.2.8', 'sha224'],
  ['1.2.840.113549.2.9', 'sha256'],
  ['1.2.840.113549.2.10', 'sha384'],
  ['1.2.840.113549.2.11', 'sha512'],
]);

/** Decrypts octets by their AlgorithmIdentifier; the caller wipes what is returned. InvalidArgs when they cannot be. */
export function decrypt(algorithm: Tlv | undefined, ciphertext: Buffer, secrets: Secrets): Buffer {
  const [identifier, parameters] = membersOf(algorithm);
  const oid = oidOf(identifier);
  const { cipher, key, iv } =
    oid === pbes2 ? pbes2Key(parameters, secrets) : pkcs12Key(oid, parameters, secrets);
  try {
    return cipher.rc2Bits === undefined
      ? decryptNatively(cipher, { key, iv, ciphertext })
      : decryptRc2(cipher.rc2Bits, { key, iv, ciphertext });
  } finally {
    key.fill(0);
  }
}

interface Keyed {
  readonly cipher: Cipher;
  readonly key: Buffer;
  readonly iv: Buffer;
}

function pkcs12Key(oid: string, parameters: Tlv | undefined, secrets: Secrets): Keyed {
  const cipher = pkcs12Schemes.get(oid);
  if (cipher === undefined) throw unsupported('encryption', oid);
  const [salt, count] = membersOf(parameters);
  const iterations = numberOf(count);
  const base = {
    hash: hashes.sha1,
    password: secrets.utf16,
    salt: octetsOf(salt),
    iterations,
  };
  const forKey = { ...base, purpose: purposes.key, length: cipher.keyBytes };
  const forIv = { ...base, purpose: purposes.iv, length: 8 };
  secrets.budget.take(iterations, digestsFor(forKey) + digestsFor(forIv));
  return { cipher, key: deriveKey(forKey), iv: deriveKey(forIv) };
}

function pbes2Key(parameters: Tlv | undefined, { utf8, budget }: Secrets): Keyed {
  const [derivation, scheme] = membersOf(parameters).map(membersOf);
  const [name, values] = derivation ?? [];
  if (oidOf(name) !== pbkdf2) throw unsupported('key derivation', oidOf(name));
  const [salt, count, ...rest] = membersOf(values);
  // between the two there may be the length of the key, which the cipher says, too
  const hash = pseudoRandomFunction(rest.find((one) => !isInteger(one)));
  const [encryption, iv] = scheme ?? [];
  const cipher = pbes2Ciphers.get(oidOf(encryption));
  if (cipher === undefined) throw unsupported('encryption', oidOf(encryption));
  const iterations = numberOf(count);
  const digests = Math.ceil(cipher.keyBytes / hashes[hash].digestBytes);
  budget.take(iterations, digests);
  const key = pbkdf2Sync(utf8, octetsOf(salt), iterations, cipher.keyBytes, hash);
  return { cipher, key, iv: octetsOf(iv) };
}

function pseudoRandomFunction(identifier: Tlv | undefined): keyof typeof hashes {
  if (identifier === undefined) return 'sha1';
  const [name] = membersOf(identifier);
  const found = pseudoRandomFunctions.get(oidOf(name));
  if (found === undefined) throw unsupported('pseudo-random function', oidOf(name));
  return found as keyof typeof hashes;
}

interface Encrypted {
  readonly key: Buffer;
  readonly iv: Buffer;
  readonly ciphertext: Buffer;
}

function decryptNatively({ name }: Cipher, { key, iv, ciphertext }: Encrypted): Buffer {
  if (iv.length !== (name.startsWith('aes') ? 16 : 8)) throw malformed();
  const decipher = createDecipheriv(name, key, iv);
  const first = decipher.update(ciphertext);
  try {
    return Buffer.concat([first, decipher.final()]);
  } catch {
    // the padding is all that OpenSSL's message is about
    throw wrongPassword();
  } finally {
    first.fill(0);
  }
}

/** OpenSSL 3 has RC2 in a provider that Node does not load. */
function decryptRc2(bits: number, { key, iv, ciphertext }: Encrypted): Buffer {
  const cipher = rc2.createDecryptionCipher(key.toString('latin1'), bits);
  cipher.start(iv.toString('latin1'), null);
  cipher.update(util.createBuffer(ciphertext.toString('latin1')));
  if (!cipher.finish()) throw wrongPassword();
  return Buffer.from(cipher.output.getBytes(), 'latin1');
}

function unsupported(what: string, oid: string): ServiceError {
  return new ServiceError('InvalidArgs', `its ${what} ${oid} is not supported`);
}
