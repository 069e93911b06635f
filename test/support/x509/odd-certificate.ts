import type { KeyObject } from 'node:crypto';
import { encodeAlgorithm, localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import {
  bitString,
  context,
  type Element,
  encode,
  integer,
  raw,
  sequence,
  text,
  universal,
} from '../../../src/x509/der/asn1.ts';
import { type Extension, encodeExtensions, extensionOids } from '../../../src/x509/extensions.ts';
import { encodeName, parseName } from '../../../src/x509/name.ts';
import { makeKey } from './openssl.ts';

/** The unusual fields of an otherwise current self-signed certificate. */
export interface Oddities {
  readonly key?: KeyObject;
  readonly spki?: Buffer;
  readonly version?: 1 | 3;
  readonly subject?: Element;
  readonly issuer?: Element;
  /** Signs in place of the key. */
  readonly by?: KeyObject;
  readonly notBefore?: Element;
  readonly notAfter?: Element;
  readonly serial?: Element;
  /** The content of the SubjectAlternativeName extension, in any form. */
  readonly names?: Buffer;
  /** All extensions, instead of `names`. */
  readonly extensions?: readonly Extension[];
}

/** The DER of a certificate that the product would never build. */
export async function oddCertificate(oddities: Oddities = {}): Promise<Buffer> {
  const { key = makeKey('ec-p256'), by = key, version = 3, names } = oddities;
  const subject = oddities.subject ?? nameOf('CN=odd');
  const named =
    names === undefined
      ? undefined
      : [{ oid: extensionOids.subjectAlternativeName, critical: false, value: names }];
  const extensions = oddities.extensions ?? named;
  const signer = localSigner(by);
  const unsigned = sequence(
    ...(version === 1 ? [] : [context(0, [integer(2)])]),
    oddities.serial ?? integer(7),
    encodeAlgorithm(signer.algorithm),
    oddities.issuer ?? subject,
    sequence(
      oddities.notBefore ?? text(universal.utcTime, '240101000000Z'),
      oddities.notAfter ?? text(universal.utcTime, '440101000000Z'),
    ),
    subject,
    raw(oddities.spki ?? spkiOf(key)),
    ...(extensions === undefined ? [] : [context(3, [encodeExtensions(extensions)])]),
  );
  const signature = await signer.sign(encode(unsigned));
  return encode(sequence(unsigned, encodeAlgorithm(signer.algorithm), bitString(signature)));
}

/** The DER element of a name. */
export function nameOf(value: string): Element {
  return raw(encodeName(parseName(value)));
}

/** A TLV with a one-byte tag and a content of less than 128 bytes, valid or not. */
export function tlv(tag: number, content: Uint8Array | string, length = content.length): Buffer {
  return Buffer.concat([Buffer.from([tag, length]), Buffer.from(content)]);
}
