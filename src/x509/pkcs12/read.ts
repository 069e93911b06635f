/** Reads PKCS#12 (RFC 7292): its private keys and certificates, octet for octet. */
import { ServiceError } from '../../errors.ts';
import { firstElement, isPadding, type Tlv } from '../der/tlv.ts';
import { looksLikePem, parseOnePem, pemLabels } from '../pem.ts';
import { decrypt, type Secrets } from './decryption.ts';
import {
  elementOf,
  isInteger,
  malformed,
  membersOf,
  octetsOf,
  oidOf,
  taggedOf,
} from './elements.ts';
import { IterationBudget } from './iterations.ts';
import { verifiedForm } from './mac.ts';
import { EncodedPassword } from './password.ts';

const contentTypes = {
  data: '1.2.840.113549.1.7.1',
  signed: '1.2.840.113549.1.7.2',
  encrypted: '1.2.840.113549.1.7.6',
} as const;
const bagTypes = {
  key: '1.2.840.113549.1.12.10.1.1',
  shroudedKey: '1.2.840.113549.1.12.10.1.2',
  certificate: '1.2.840.113549.1.12.10.1.3',
  safeContents: '1.2.840.113549.1.12.10.1.6',
} as const;
const x509Certificate = '1.2.840.113549.1.9.22.1';
/** An implicit tag `[0]`. */
const implicit0 = 0x80;
const maxNesting = 4;

/** The content of a file. Disposing of it wipes the keys. */
export class Pkcs12Content implements Disposable {
  /** DER. */
  readonly certificates: Buffer[] = [];
  /** PKCS#8 in DER. */
  readonly keys: Buffer[] = [];

  [Symbol.dispose](): void {
    for (const key of this.keys) key.fill(0);
  }
}

/** Whether bytes are PKCS#12 rather than certificates: DER that begins with its version, or PEM, as GnuTLS writes it. */
export function looksLikePkcs12(bytes: Buffer): boolean {
  return bytes.includes(`-----BEGIN ${pemLabels.pkcs12[0]}-----`) || isPfx(bytes);
}

function isPfx(bytes: Buffer): boolean {
  const whole = firstElement(bytes);
  if (whole === undefined || whole.tag !== 0x30) return false;
  const version = firstElement(whole.content);
  return version !== undefined && isInteger(version) && version.content.equals(Buffer.of(3));
}

/** The keys and certificates of a file; InvalidArgs naming `what` when the password or the file is wrong. */
export function readPkcs12(bytes: Buffer, password: Buffer, what: string): Pkcs12Content {
  const content = new Pkcs12Content();
  try {
    using encoded = new EncodedPassword(password);
    const der = looksLikePem(bytes) ? parseOnePem(bytes, pemLabels.pkcs12, what) : bytes;
    readFile(der, encoded, content);
    return content;
  } catch (error) {
    content[Symbol.dispose]();
    if (!(error instanceof ServiceError)) throw error;
    throw new ServiceError(error.code, `${what} cannot be read as PKCS#12: ${error.message}`);
  }
}

function readFile(bytes: Buffer, password: EncodedPassword, content: Pkcs12Content): void {
  const whole = elementOf(bytes);
  if (!isPfx(bytes) || !bytes.subarray(whole.bytes.length).every(isPadding)) {
    throw malformed();
  }
  const [, authenticated, macData] = membersOf(whole);
  const [type, safe] = membersOf(authenticated);
  if (oidOf(type) === contentTypes.signed) {
    throw new ServiceError('InvalidArgs', 'it is protected by a signature in place of a password');
  }
  if (oidOf(type) !== contentTypes.data) throw malformed();
  const octets = octetsOf(taggedOf(safe));
  const budget = new IterationBudget();
  const utf16 =
    macData === undefined ? password.utf16[0] : verifiedForm(macData, octets, { password, budget });
  const secrets = { utf8: password.utf8, utf16, budget };
  for (const one of membersOf(elementOf(octets))) readContentInfo(one, secrets, content);
}

function readContentInfo(contentInfo: Tlv, secrets: Secrets, content: Pkcs12Content): void {
  const [type, value] = membersOf(contentInfo);
  const oid = oidOf(type);
  if (oid === contentTypes.data) {
    readBags(elementOf(octetsOf(taggedOf(value))), secrets, content);
    return;
  }
  if (oid !== contentTypes.encrypted) {
    throw new ServiceError('InvalidArgs', 'a part of it is not encrypted by a password');
  }
  const [, encrypted] = membersOf(taggedOf(value));
  const [, algorithm, ciphertext] = membersOf(encrypted);
  const plain = decrypt(algorithm, octetsOf(ciphertext, implicit0), secrets);
  try {
    readBags(elementOf(plain), secrets, content);
  } finally {
    plain.fill(0);
  }
}

function readBags(contents: Tlv, secrets: Secrets, content: Pkcs12Content, depth = 0): void {
  if (depth > maxNesting) throw malformed();
  for (const bag of membersOf(contents)) {
    const [type, value] = membersOf(bag);
    switch (oidOf(type)) {
      case bagTypes.key:
        content.keys.push(Buffer.from(taggedOf(value).bytes));
        break;
      case bagTypes.shroudedKey: {
        const [algorithm, ciphertext] = membersOf(taggedOf(value));
        content.keys.push(decrypt(algorithm, octetsOf(ciphertext), secrets));
        break;
      }
      case bagTypes.certificate: {
        const [form, certificate] = membersOf(taggedOf(value));
        if (oidOf(form) !== x509Certificate) break;
        content.certificates.push(Buffer.from(octetsOf(taggedOf(certificate))));
        break;
      }
      case bagTypes.safeContents:
        readBags(taggedOf(value), secrets, content, depth + 1);
        break;
      default: // CRLs and secrets of other kinds
    }
  }
}
