import { describeError, isServiceError } from '../../../errors.ts';
import type { CertificateView } from '../../certificates/certificate-view.ts';
import { Certificates, certificateId } from '../../certificates/certificates.ts';
import { concernOf } from '../../certificates/concern.ts';
import type { CertificateText } from '../../certificates/material/material.ts';
import { expiryText, relativeTime } from '../../certificates/time-text.ts';
import { type Command, exitCodes } from '../../command.ts';
import { formatJson, formatRecord, formatTable, formatTime, printable } from '../../output.ts';

/** `iotedgectl certificates show`. */
export const certificatesShow: Command = {
  words: 'certificates show',
  summary: 'a certificate: its content, its chain, its renewal, its problem and what to do',
  about: `First what the service knows of it, then what is in it, in the terms of 'openssl x509 -text', then its chain, the
leaf first. All of it is public. 'certificates export' has the certificate itself.`,
  positionals: ['id'],
  async run(context) {
    const id = certificateId(context);
    const { options, print } = context;
    const certificates = await Certificates.connect(context);
    const certificate = await certificates.require(id);
    const { pem, problem } = await pemOf(certificates, id);
    const { certificateTexts } = await import('../../certificates/material/material.ts');
    const chain = pem === undefined ? [] : certificateTexts(pem);
    if (options['json'] === true) {
      print(formatJson({ properties: certificate.whole, chain }));
      return exitCodes.ok;
    }
    const now = new Date();
    print(formatRecord(stateOf(certificate, now)));
    const [leaf] = chain;
    print('');
    if (leaf === undefined) print(printable(`there is nothing to show: ${problem}`));
    else print(`${formatRecord(contentOf(leaf, now))}\n\n${chainOf(chain, now)}`);
    return exitCodes.ok;
  },
};

/** The chain; why there is none for a certificate that is pending or damaged. */
async function pemOf(certificates: Certificates, certificate_id: string) {
  try {
    const { certificate } = await certificates.call((methods, options) =>
      methods.GetCertificate({ certificate_id, options: {} }, options),
    );
    return { pem: certificate.chain_pem, problem: '' };
  } catch (error) {
    if (!isServiceError(error, 'Unavailable') && !isServiceError(error, 'NotFound')) throw error;
    return { pem: undefined, problem: describeError(error) };
  }
}

function stateOf(certificate: CertificateView, now: Date): Readonly<Record<string, string>> {
  const { lastAttempt, lastError, nextAttempt, renewAt } = certificate;
  const concern = concernOf(certificate, now);
  return {
    certificate: certificate.id,
    state: certificate.state,
    problem: concern?.text ?? lastError,
    'what to do': concern?.advice ?? '',
    operation: certificate.operation,
    method: certificate.method,
    profile: certificate.profile,
    'key id': certificate.keyId,
    preloaded: certificate.isPreloaded ? 'yes' : 'no',
    renewal: timeText(renewAt, now),
    'last attempt': `${timeText(lastAttempt, now)}${lastAttempt !== 0 && lastError !== '' ? ', failed' : ''}`,
    'next attempt': timeText(nextAttempt, now),
    'last error': lastError,
  };
}

function contentOf(text: CertificateText, now: Date): Readonly<Record<string, string>> {
  return {
    subject: text.subject,
    issuer: text.issuer,
    'serial number': text.serialNumber,
    version: text.version,
    'not before': formatTime(text.notBefore * 1000),
    'not after': `${formatTime(text.notAfter * 1000)} (${expiryText(text.notAfter * 1000, now)})`,
    'alternative names': text.alternativeNames,
    'public key': text.keyAlgorithm,
    'public key SHA-256': text.keyDigest,
    'key usage': text.keyUsage,
    'extended key usage': text.extendedKeyUsage,
    'basic constraints': text.basicConstraints,
    'subject key id': text.subjectKeyIdentifier,
    'authority key id': text.authorityKeyIdentifier,
    'other extensions': text.otherExtensions,
    'signature algorithm': text.signatureAlgorithm,
    'fingerprint SHA-256': text.fingerprint,
  };
}

function chainOf(chain: readonly CertificateText[], now: Date): string {
  const rows = chain.map(({ subject, issuer, notAfter, fingerprint }, at) => [
    String(at),
    subject,
    issuer,
    relativeTime(notAfter * 1000, now),
    fingerprint,
  ]);
  return formatTable(['CHAIN', 'SUBJECT', 'ISSUER', 'EXPIRES', 'FINGERPRINT SHA-256'], rows);
}

function timeText(microseconds: number, now: Date): string {
  if (microseconds === 0) return '';
  return `${formatTime(microseconds)} (${relativeTime(microseconds, now)})`;
}
