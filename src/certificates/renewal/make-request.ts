import { createHash } from 'node:crypto';
import type { Via } from '../../dbus/client/via.ts';
import { ServiceError } from '../../errors.ts';
import { type KeyAlgorithm, keyAlgorithmOf, publicKeyOf } from '../../x509/algorithm.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { encodeRequestInfo, signRequestInfo } from '../../x509/csr.ts';
import { type Extension, extensionOids, subjectAlternativeName } from '../../x509/extensions.ts';
import { encodeName, isSameName } from '../../x509/name.ts';
import { formatAlternativeName } from '../../x509/subject-alternative-name.ts';
import type { CertificateEntry } from '../certificate-entry.ts';
import type { OrderKeys } from '../keys/keys-client.ts';
import type { OrderRule } from './order-rule.ts';
import type { MadeRequest } from './transitions.ts';

/** The certificate that is renewed, if there is one, and the names that it was ordered with. */
type Renewed = Pick<CertificateEntry, 'chain' | 'enrolment'>;
/** Those of the Keys service for a list without any. */
const usual: readonly KeyAlgorithm[] = ['ec-p256', 'rsa-2048'];
type Names = Pick<OrderRule, 'issuer' | 'subject' | 'names'>;

/**
 * The request of an order and the public half of its key, which is created unless it exists. An EST server may want it
 * signed on the connection that it is sent on, so there is only a template for one. NotFound when a key that is not
 * made here is missing, InvalidArgs when the rule does not allow one of its kind.
 */
export async function makeRequest(
  rule: OrderRule,
  {
    keyId,
    isMade,
    wanted = [],
    renewed,
  }: {
    readonly keyId: string;
    readonly isMade: boolean;
    /** The algorithms that the issuer prefers to others of the rule. */
    readonly wanted?: readonly KeyAlgorithm[];
    readonly renewed?: Renewed | undefined;
  },
  { keys, via }: { readonly keys: OrderKeys; readonly via: Via },
): Promise<MadeRequest> {
  const { keyAlgorithms, subject } = rule;
  if (isMade) await keys.createPair(keyId, preferenceOf(wanted, keyAlgorithms), via);
  const spki = await keys.publicKey(keyId, via);
  if (spki === undefined) throw new ServiceError('NotFound', `no key "${keyId}"`);
  const algorithm = keyAlgorithmOf(publicKeyOf(spki));
  if (keyAlgorithms.length > 0 && !keyAlgorithms.includes(algorithm)) {
    const text = `the key "${keyId}" is ${algorithm}, which key_algorithms does not list`;
    throw new ServiceError('InvalidArgs', text);
  }
  const info = encodeRequestInfo({ subject, ...contentOf(rule, renewed), spki });
  if (rule.method === 'est') return { spki, csr: undefined, template: info };
  const csr = await signRequestInfo(info, keys.signer(keyId, spki, via));
  return { spki, csr, template: undefined };
}

/** The algorithms in the order of preference: those of the rule follow, as a token may lack the others. */
function preferenceOf(
  wanted: readonly KeyAlgorithm[],
  allowed: readonly KeyAlgorithm[],
): readonly KeyAlgorithm[] {
  if (wanted.length === 0) return allowed;
  return [...new Set([...wanted, ...(allowed.length === 0 ? usual : allowed)])];
}

/** A digest that changes with the names of a rule, and with the issuer, which makes other names of them. */
export function digestOfNames({ issuer, subject, names }: Names): string {
  const parts = [issuer, encodeName(subject).toString('hex')];
  const text = JSON.stringify([...parts, textOf(names.map(formatAlternativeName))]);
  return createHash('sha256').update(text).digest('hex');
}

/**
 * The octets of the certificate that is renewed unless the names of its rule have changed since it was ordered: EST
 * servers compare them, and CAs re-order, re-encode, add and drop names.
 */
function contentOf(
  rule: Names,
  renewed: Renewed | undefined,
): { readonly subjectDer: Buffer; readonly extensions: readonly Extension[] } {
  const { subject, names } = rule;
  const [before] = renewed?.chain ?? [];
  if (before !== undefined && isUnchanged(rule, before, renewed?.enrolment?.names)) {
    const kept = before.extensions.filter(
      ({ oid }) => oid === extensionOids.subjectAlternativeName,
    );
    return { subjectDer: before.subjectDer, extensions: kept };
  }
  const own = names.length === 0 ? [] : [subjectAlternativeName(names)];
  return { subjectDer: encodeName(subject), extensions: own };
}

/** Without the names of the order, as of a certificate that was imported, those of the certificate count. */
function isUnchanged(
  rule: Names,
  { subject, alternativeNames }: Certificate,
  ordered: string | undefined,
): boolean {
  if (ordered !== undefined) return ordered === digestOfNames(rule);
  const isSame = textOf(alternativeNames) === textOf(rule.names.map(formatAlternativeName));
  return isSame && isSameName(subject, rule.subject);
}

function textOf(names: readonly string[]): string {
  return JSON.stringify([...new Set(names)].sort());
}
