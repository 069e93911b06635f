import type { Via } from '../../dbus/client/via.ts';
import { ServiceError } from '../../errors.ts';
import { keyAlgorithmOf, publicKeyOf } from '../../x509/algorithm.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { buildCsr } from '../../x509/csr.ts';
import { type Extension, extensionOids, subjectAlternativeName } from '../../x509/extensions.ts';
import { encodeName, isSameName, type Name } from '../../x509/name.ts';
import {
  formatAlternativeName,
  type SubjectAlternativeName,
} from '../../x509/subject-alternative-name.ts';
import type { OrderKeys } from '../keys/keys-client.ts';
import type { OrderRule } from './order-rule.ts';

/**
 * The CSR of an order and the public half of its key, which is created unless it exists. NotFound when a key that is not
 * made here is missing, InvalidArgs when the rule does not allow one of its kind.
 */
export async function makeCsr(
  { keyAlgorithms, names, subject }: OrderRule,
  {
    keyId,
    isMade,
    renewed,
  }: {
    readonly keyId: string;
    readonly isMade: boolean;
    readonly renewed?: Certificate | undefined;
  },
  { keys, via }: { readonly keys: OrderKeys; readonly via: Via },
): Promise<{ readonly csr: Buffer; readonly spki: Buffer }> {
  if (isMade) await keys.createPair(keyId, keyAlgorithms, via);
  const spki = await keys.publicKey(keyId, via);
  if (spki === undefined) throw new ServiceError('NotFound', `no key "${keyId}"`);
  const algorithm = keyAlgorithmOf(publicKeyOf(spki));
  if (keyAlgorithms.length > 0 && !keyAlgorithms.includes(algorithm)) {
    const text = `the key "${keyId}" is ${algorithm}, which key_algorithms does not list`;
    throw new ServiceError('InvalidArgs', text);
  }
  const content = contentOf({ subject, names }, renewed);
  const signer = keys.signer(keyId, spki, via);
  return { spki, csr: await buildCsr({ subject, ...content, spki, signer }) };
}

/** The octets of the certificate that is renewed where it has the names of the rule: EST servers compare them. */
function contentOf(
  { subject, names }: { readonly subject: Name; readonly names: readonly SubjectAlternativeName[] },
  renewed: Certificate | undefined,
): { readonly subjectDer: Buffer; readonly extensions: readonly Extension[] } {
  const own = names.length === 0 ? [] : [subjectAlternativeName(names)];
  if (renewed === undefined || !isSameName(renewed.subject, subject)) {
    return { subjectDer: encodeName(subject), extensions: own };
  }
  const kept = renewed.extensions.filter(({ oid }) => oid === extensionOids.subjectAlternativeName);
  if (textOf(renewed.alternativeNames) !== textOf(names.map(formatAlternativeName))) {
    return { subjectDer: encodeName(subject), extensions: own };
  }
  return { subjectDer: renewed.subjectDer, extensions: kept };
}

function textOf(names: readonly string[]): string {
  return JSON.stringify([...new Set(names)].sort());
}
