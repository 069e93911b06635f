import { certificatesService } from '../../../interfaces/certificates.ts';
import { type CertificateView, certificateView } from '../../certificates/certificate-view.ts';
import { type Concern, concernsOf } from '../../certificates/concern.ts';
import { relativeTime } from '../../certificates/time-text.ts';
import { type Command, exitCodes } from '../../command.ts';
import { describeService } from '../../description.ts';
import { formatJson, formatTable, printable } from '../../output.ts';

/** `iotedgectl certificates list`. */
export const certificatesList: Command = {
  words: 'certificates list',
  summary: 'the certificates that the Certificates service holds, what is wrong with them first',
  about: `Above the table is what is wrong with the service or a certificate, or will be soon, and why; those certificates
are its first rows. EXPIRES, RENEWAL and NEXT ATTEMPT are times from now; LAST ATTEMPT is of the service itself, with its
result. 'certificates show' has the times as such, and what to do.`,
  async run({ bus, options, print }) {
    const { objects, lastError } = await describeService(await bus(), certificatesService);
    if (options['json'] === true) {
      print(formatJson(objects));
      return exitCodes.ok;
    }
    const now = new Date();
    const all = Object.entries(objects).map(([id, object]) => certificateView(id, object));
    const concerns = concernsOf(all, now);
    if (lastError !== '') print(printable(`the certificates service: ${lastError}`));
    for (const { id, text } of concerns) print(printable(`${id}: ${text}`));
    if (lastError !== '' || concerns.length > 0) print('');
    print(
      formatTable(
        headings,
        byConcern(all, concerns).map((one) => cellsOf(one, now)),
      ),
    );
    return exitCodes.ok;
  },
};

const headings = [
  'CERTIFICATE',
  'STATE',
  'EXPIRES',
  'RENEWAL',
  'LAST ATTEMPT',
  'NEXT ATTEMPT',
  'SUBJECT',
  'ISSUER',
];

function cellsOf(certificate: CertificateView, now: Date): readonly string[] {
  const { id, state, notAfter, renewAt, nextAttempt, subject, issuer } = certificate;
  return [
    id,
    state,
    relativeTime(notAfter, now),
    renewalText(renewAt, now),
    attemptText(certificate, now),
    relativeTime(nextAttempt, now),
    subject || '-',
    issuer || '-',
  ];
}

function renewalText(renewAt: number, now: Date): string {
  return renewAt !== 0 && renewAt / 1000 <= now.getTime() ? 'due' : relativeTime(renewAt, now);
}

function attemptText({ lastAttempt, lastError }: CertificateView, now: Date): string {
  if (lastAttempt === 0) return '-';
  return `${lastError === '' ? 'ok' : 'failed'} ${relativeTime(lastAttempt, now)}`;
}

/** The certificates of the concerns in their order, then the others. */
function byConcern(
  all: readonly CertificateView[],
  concerns: readonly Concern[],
): readonly CertificateView[] {
  const rank = new Map(concerns.map(({ id }, at) => [id, at]));
  const rankOf = ({ id }: CertificateView) => rank.get(id) ?? concerns.length;
  return all.toSorted((one, other) => rankOf(one) - rankOf(other));
}
