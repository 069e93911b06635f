/** The environment of helpers, with the variables of certmonger (its doc/helpers.txt). */
import { keyAlgorithmOf, publicKeyOf } from '../../../x509/algorithm.ts';
import { raw } from '../../../x509/der/asn1.ts';
import { decodeName, formatName } from '../../../x509/name.ts';
import { encodePem, pemLabels } from '../../../x509/pem.ts';
import type { SubjectAlternativeName } from '../../../x509/subject-alternative-name.ts';
import type { Order } from '../issuer.ts';

const fixed = {
  PATH: '/usr/bin:/bin:/usr/sbin:/sbin',
  HOME: '/',
  LANG: 'C.UTF-8',
  TERM: 'dumb',
  TMPDIR: '/tmp',
};

/** The variables for an order; nothing of the service's own environment is among them. */
export function environmentFor(order: Order, issuer: string): Readonly<Record<string, string>> {
  const { cookie, key, names, profile, renewed, request, subjectDer } = order;
  const [before] = renewed?.chain ?? [];
  const present = (name: string, value: string | undefined) =>
    value === undefined || value === '' ? {} : { [name]: value };
  return {
    ...fixed,
    CERTMONGER_OPERATION: cookie === undefined ? 'SUBMIT' : 'POLL',
    CERTMONGER_CSR: encodePem(request, pemLabels.certificateRequest[0]),
    CERTMONGER_SPKI: key.spki.toString('base64'),
    CERTMONGER_CA_NICKNAME: issuer,
    CERTMONGER_CA_PROFILE: profile,
    ...present('CERTMONGER_KEY_TYPE', keyTypeOf(key.spki)),
    ...present('CERTMONGER_CA_COOKIE', cookie),
    ...present('CERTMONGER_REQ_SUBJECT', formatName(decodeName(raw(subjectDer)))),
    ...present('CERTMONGER_REQ_HOSTNAME', textsOf(names, 'dns')),
    ...present('CERTMONGER_REQ_IP_ADDRESS', textsOf(names, 'ip')),
    ...present('CERTMONGER_CERTIFICATE', before && encodePem(before.der, pemLabels.certificate[0])),
  };
}

/** One name a line. */
function textsOf(
  names: readonly SubjectAlternativeName[],
  wanted: SubjectAlternativeName['kind'],
): string {
  return names
    .filter(({ kind }) => kind === wanted)
    .map(({ value }) => value)
    .join('\n');
}

/** Undefined for Ed25519, which certmonger has no name for. */
function keyTypeOf(spki: Buffer): string | undefined {
  const algorithm = keyAlgorithmOf(publicKeyOf(spki));
  if (algorithm.startsWith('rsa')) return 'RSA';
  return algorithm.startsWith('ec-') ? 'EC' : undefined;
}
