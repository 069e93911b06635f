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
} from '../../x509/der/asn1.ts';
import { childrenOf, isContext, membersOf, oidOf } from '../../x509/der/read.ts';
import { decodeExtensions, type Extension, encodeExtensions } from '../../x509/extensions.ts';

const what = 'the CSR';
const extensionRequest = '1.2.840.113549.1.9.14';

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

/** The same request with more extensions, signed anew. */
export async function extendRequest(
  csr: Buffer,
  more: readonly Extension[],
  signer: Signer,
): Promise<Buffer> {
  const [version, subject, key] = requestParts(csr);
  if (version === undefined || subject === undefined || key === undefined) {
    throw new TypeError('a request that was built here has all parts');
  }
  const extensions = encodeExtensions([...extensionsIn(csr), ...more]);
  const others = attributesOf(csr).filter((attribute) => !isExtensionRequest(attribute));
  const asked = sequence(oid(extensionRequest), set(extensions));
  const unsigned = sequence(version, subject, key, context(0, [...others, asked]));
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
