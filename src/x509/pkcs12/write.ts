/**
 * Writes PKCS#12 (RFC 7292): the certificates and the key encrypted with AES-256 by PBES2 and PBKDF2 with SHA-256, the
 * MAC with SHA-256.
 */
import { createCipheriv, createHash, pbkdf2Sync, randomBytes } from 'node:crypto';
import {
  context,
  type Element,
  encode,
  integer,
  nullValue,
  octetString,
  oid,
  sequence,
  set,
  text,
  universal,
} from '../der/asn1.ts';
import { hashes } from './hashes.ts';
import { macOf } from './mac.ts';
import { EncodedPassword } from './password.ts';

/** .NET refuses more than 300 000 for one key, and a million for the file. */
const iterations = 250_000;
const iterationsDer = Buffer.from([
  0,
  ...Buffer.from(iterations.toString(16).padStart(6, '0'), 'hex'),
]);
const saltLength = 16;

const oids = {
  data: '1.2.840.113549.1.7.1',
  encryptedData: '1.2.840.113549.1.7.6',
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certificateBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  friendlyName: '1.2.840.113549.1.9.20',
  localKeyId: '1.2.840.113549.1.9.21',
  pbes2: '1.2.840.113549.1.5.13',
  pbkdf2: '1.2.840.113549.1.5.12',
  hmacSha256: '1.2.840.113549.2.9',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
  sha256: '2.16.840.1.101.3.4.2.1',
} as const;

/** What a file is to hold. */
export interface Pkcs12Parts {
  /** PKCS#8 in DER. */
  readonly key: Buffer;
  /** DER; the first is that of the key. */
  readonly certificates: readonly [Buffer, ...Buffer[]];
  /** The name that other programs show, in ASCII. */
  readonly name: string;
}

/** The DER of a file; `password` is UTF-8, else InvalidArgs. */
export function writePkcs12({ key, certificates, name }: Pkcs12Parts, password: Buffer): Buffer {
  using encoded = new EncodedPassword(password);
  const [leaf] = certificates;
  const attributes = bagAttributes(name, createHash('sha1').update(leaf).digest());
  const certificateBags = certificates.map((der, at) =>
    bag(oids.certificateBag, certificateBag(der), at === 0 ? attributes : []),
  );
  const keyBag = bag(oids.shroudedKeyBag, sequence(...encrypted(key, password)), attributes);
  const [algorithm, ciphertext] = encrypt(encode(sequence(...certificateBags)), password);
  const safe = encode(
    sequence(
      contentInfo(
        oids.encryptedData,
        sequence(integer(0), sequence(oid(oids.data), algorithm, context(0, ciphertext))),
      ),
      contentInfo(oids.data, octetString(encode(sequence(keyBag)))),
    ),
  );
  return encode(
    sequence(
      integer(3),
      contentInfo(oids.data, octetString(safe)),
      macData(safe, encoded.utf16[0]),
    ),
  );
}

function contentInfo(type: string, content: Element): Element {
  return sequence(oid(type), context(0, [content]));
}

function bag(type: string, value: Element, attributes: readonly Element[]): Element {
  const own = attributes.length === 0 ? [] : [set(...attributes)];
  return sequence(oid(type), context(0, [value]), ...own);
}

function certificateBag(der: Buffer): Element {
  return sequence(oid(oids.x509Certificate), context(0, [octetString(der)]));
}

/** The attributes that connect a key with its certificate. */
function bagAttributes(name: string, localKeyId: Buffer): readonly Element[] {
  return [
    sequence(oid(oids.friendlyName), set(text(universal.bmpString, name))),
    sequence(oid(oids.localKeyId), set(octetString(localKeyId))),
  ];
}

function encrypted(plain: Buffer, password: Buffer): readonly [Element, Element] {
  const [algorithm, ciphertext] = encrypt(plain, password);
  return [algorithm, octetString(ciphertext)];
}

/** The AlgorithmIdentifier of PBES2, and the ciphertext. */
function encrypt(plain: Buffer, password: Buffer): readonly [Element, Buffer] {
  const salt = randomBytes(saltLength);
  const iv = randomBytes(16);
  const key = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const cipher = createCipheriv('aes-256-cbc', key, iv);
  const ciphertext = Buffer.concat([cipher.update(plain), cipher.final()]);
  key.fill(0);
  const derivation = sequence(
    octetString(salt),
    integer(iterationsDer),
    sequence(oid(oids.hmacSha256), nullValue()),
  );
  const algorithm = sequence(
    oid(oids.pbes2),
    sequence(
      sequence(oid(oids.pbkdf2), derivation),
      sequence(oid(oids.aes256Cbc), octetString(iv)),
    ),
  );
  return [algorithm, ciphertext];
}

function macData(content: Buffer, password: Buffer): Element {
  const salt = randomBytes(saltLength);
  const mac = macOf(content, password, { hash: hashes.sha256, salt, iterations });
  return sequence(
    sequence(sequence(oid(oids.sha256), nullValue()), octetString(mac)),
    octetString(salt),
    integer(iterationsDer),
  );
}
