/** The extensions of a CSR, without a change of the octets of its other parts. */
import { encodeAlgorithm, type Signer } from '../../x509/algorithm.ts';
import {
  bitString,
  context,
  decode,
  type Element,
  encode,
  oid,
  sequence,
  set,
  text,
  universal,
} from '../../x509/der/asn1.ts';
import { childrenOf, isContext, membersOf, oidOf } from '../../x509/der/read.ts';
import { decodeExtensions, type Extension, encodeExtensions } from '../../x509/extensions.ts';

const what = 'the CSR';
const extensionRequest = '1.2.840.113549.1.9.14';
const challengePassword = '1.2.840.113549.1.9.7';

/** The members of a CertificationRequestInfo: version, subject, key and attributes. */
export function requestParts(csr: Buffer): readonly Element[] {
  const [unsigned] = membersOf(decode(csr, what), 'sequence', what);
  return membersOf(unsigned, 'sequence', what);
}

/** The extensions that a request asks for. */
export function extensionsIn(csr: Buffer): readonly Extension[] {
  return attributesOf(csr)
    .filter(isExtensionRequest)
    .flatMap((attribute) => membersOf(membersOf(attribute, 'sequence', what)[1], 'set', what))
    .flatMap(decodeExtensions);
}

/**
 * The same request with the tls-unique of its connection as the challengePassword, signed anew (RFC 7030 3.5).
 */
export function bindRequest(csr: Buffer, tlsUnique: Buffer, signer: Signer): Promise<Buffer> {
  const password = text(universal.printableString, tlsUnique.toString('base64'));
  const attribute = sequence(oid(challengePassword), set(password));
  return signParts(csr, [...attributesOf(csr), attribute], signer);
}

/** The same request with more extensions, signed anew. */
export function extendRequest(
  csr: Buffer,
  more: readonly Extension[],
  signer: Signer,
): Promise<Buffer> {
  const extensions = encodeExtensions([...extensionsIn(csr), ...more]);
  const others = attributesOf(csr).filter((attribute) => !isExtensionRequest(attribute));
  const asked = sequence(oid(extensionRequest), set(extensions));
  return signParts(csr, [...others, asked], signer);
}

async function signParts(
  csr: Buffer,
  attributes: readonly Element[],
  signer: Signer,
): Promise<Buffer> {
  const [version, subject, key] = requestParts(csr);
  if (version === undefined || subject === undefined || key === undefined) {
    throw new TypeError('a request that was built here has all parts');
  }
  const unsigned = sequence(version, subject, key, context(0, attributes));
  const signature = await signer.sign(encode(unsigned));
  return encode(sequence(unsigned, encodeAlgorithm(signer.algorithm), bitString(signature)));
}

function attributesOf(csr: Buffer): readonly Element[] {
  const [, , , attributes] = requestParts(csr);
  return isContext(attributes, 0) ? childrenOf(attributes, what) : [];
}

function isExtensionRequest(attribute: Element): boolean {
  return oidOf(membersOf(attribute, 'sequence', what)[0], what) === extensionRequest;
}
