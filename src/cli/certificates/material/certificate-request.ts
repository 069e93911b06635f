import { keyDigest, publicKeyOf, signatureAlgorithmFor } from '../../../x509/algorithm.ts';
import { buildCsr } from '../../../x509/csr.ts';
import { subjectAlternativeName } from '../../../x509/extensions.ts';
import { parseName } from '../../../x509/name.ts';
import { encodePem, pemLabels } from '../../../x509/pem.ts';
import { parseAlternativeName } from '../../../x509/subject-alternative-name.ts';

/** The names in a request, and its key. */
export interface RequestContent {
  /** RFC 4514. */
  readonly subject: string;
  readonly dns: readonly string[];
  readonly ip: readonly string[];
  readonly uri: readonly string[];
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
}

/** Signs in the Keys service, and only with the key of this SHA-256. */
type Sign = (mechanism: string, data: Buffer, publicKey: Buffer) => Promise<Uint8Array>;

/** Builds a request (PKCS#10) in PEM; InvalidArgs for names that no certificate can have. */
export async function certificateRequest(
  { subject, dns, ip, uri, spki }: RequestContent,
  sign: Sign,
): Promise<string> {
  const named = { dns, ip, uri };
  const names = (['dns', 'ip', 'uri'] as const).flatMap((kind) =>
    named[kind].map((text) => parseAlternativeName(kind, text)),
  );
  const algorithm = signatureAlgorithmFor(publicKeyOf(spki));
  const name = parseName(subject);
  const der = await buildCsr({
    subject: name,
    spki,
    extensions:
      names.length === 0 ? [] : [subjectAlternativeName(names, { critical: name.length === 0 })],
    signer: {
      algorithm,
      sign: async (message) => Buffer.from(await sign(algorithm, message, keyDigest(spki))),
    },
  });
  return encodePem(der, pemLabels.certificateRequest[0]);
}
