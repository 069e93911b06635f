// What @peculiar/x509 and @peculiar/asn1-x509 read in certificates; a process of its own, since they need a global
// polyfill of Reflect. Standard input: a JSON array of chains, each an array of DER in base64, leaf first; a last
// certificate that is self-signed verifies itself. Standard output: a JSON array of arrays.
import 'reflect-metadata';
import { AsnConvert } from '@peculiar/asn1-schema';
import { Certificate } from '@peculiar/asn1-x509';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509Certificate,
} from '@peculiar/x509';

async function read(chain, at) {
  const der = Buffer.from(chain[at], 'base64');
  const certificate = new X509Certificate(der);
  const issuer = new X509Certificate(Buffer.from(chain[at + 1] ?? chain[at], 'base64'));
  const constraints = certificate.getExtension(BasicConstraintsExtension);
  const schema = AsnConvert.parse(der, Certificate);
  return {
    serialNumber: certificate.serialNumber,
    subject: certificate.subject,
    issuer: certificate.issuer,
    notBefore: certificate.notBefore.toISOString(),
    notAfter: certificate.notAfter.toISOString(),
    ca: constraints?.ca ?? false,
    pathLength: constraints?.pathLength ?? null,
    keyUsages: certificate.getExtension(KeyUsagesExtension)?.usages ?? 0,
    purposes: certificate.getExtension(ExtendedKeyUsageExtension)?.usages ?? [],
    names: certificate.getExtension(SubjectAlternativeNameExtension)?.names.toJSON() ?? [],
    critical: certificate.extensions.filter(({ critical }) => critical).map(({ type }) => type),
    isSignedByIssuer: await certificate.verify({ publicKey: issuer, signatureOnly: true }),
    isWrittenAlike: Buffer.from(AsnConvert.serialize(schema)).equals(der),
  };
}

let input = '';
for await (const chunk of process.stdin) input += chunk;
const chains = await Promise.all(
  JSON.parse(input).map((chain) => Promise.all(chain.map((_, at) => read(chain, at)))),
);
process.stdout.write(JSON.stringify(chains));
