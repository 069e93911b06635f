/** The extensions of a request, and its password, without a change of the octets of its other parts. */

import { requestInfoParts } from '../../../x509/csr.ts';
import {
  context,
  type Element,
  encode,
  oid,
  sequence,
  set,
  text,
  universal,
} from '../../../x509/der/asn1.ts';
import { childrenOf, isContext, membersOf, oidOf } from '../../../x509/der/read.ts';
import { decodeExtensions, type Extension, encodeExtensions } from '../../../x509/extensions.ts';

const what = 'the CSR';
const extensionRequest = '1.2.840.113549.1.9.14';
const challengePassword = '1.2.840.113549.1.9.7';

/** The extensions that a request asks for, signed or not. */
export function extensionsIn(request: Buffer): readonly Extension[] {
  return attributesOf(request)
    .filter(isExtensionRequest)
    .flatMap((attribute) => membersOf(membersOf(attribute, 'sequence', what)[1], 'set', what))
    .flatMap(decodeExtensions);
}

/** A CertificationRequestInfo with the tls-unique of its connection as the challengePassword (RFC 7030 3.5). */
export function withTlsUnique(info: Buffer, tlsUnique: Buffer): Buffer {
  const password = text(universal.printableString, tlsUnique.toString('base64'));
  const attribute = sequence(oid(challengePassword), set(password));
  return withAttributes(info, [...attributesOf(info), attribute]);
}

/** A CertificationRequestInfo with more extensions. */
export function withExtensions(info: Buffer, more: readonly Extension[]): Buffer {
  const extensions = encodeExtensions([...extensionsIn(info), ...more]);
  const others = attributesOf(info).filter((attribute) => !isExtensionRequest(attribute));
  return withAttributes(info, [...others, sequence(oid(extensionRequest), set(extensions))]);
}

function withAttributes(info: Buffer, attributes: readonly Element[]): Buffer {
  const [version, subject, key] = requestInfoParts(info);
  if (version === undefined || subject === undefined || key === undefined) {
    throw new TypeError('a request that was built here has all parts');
  }
  return encode(sequence(version, subject, key, context(0, attributes)));
}

function attributesOf(request: Buffer): readonly Element[] {
  const [, , , attributes] = requestInfoParts(request);
  return isContext(attributes, 0) ? childrenOf(attributes, what) : [];
}

function isExtensionRequest(attribute: Element): boolean {
  return oidOf(membersOf(attribute, 'sequence', what)[0], what) === extensionRequest;
}
