/** What is wrong with a certificate, or will be soon, and what to do about it. */
import { formatTime } from '../output.ts';
import type { CertificateView } from './certificate-view.ts';
import { expiryText, relativeTime } from './time-text.ts';

/** A certificate that needs attention. */
export interface Concern {
  readonly id: string;
  readonly kind: 'damaged' | 'stuck' | 'expired' | 'missing' | 'expiring' | 'early' | 'failing';
  /** What is wrong and why, in one line. */
  readonly text: string;
  readonly advice: string;
}

const clock = 'the clock may be behind: see timedatectl';

type Judged = Pick<Concern, 'kind' | 'text' | 'advice'>;

const day = 86_400_000;
const longestNotice = 30 * day;
/** Of the life of a certificate that nothing renews here: its user needs time for it. */
const share = 1 / 5;
/** Of the life of a certificate that is renewed here, by default when a fifth of it is left. */
const renewedShare = 1 / 10;

/** The order in which concerns are listed. */
const order: readonly Concern['kind'][] = [
  'expired',
  'stuck',
  'damaged',
  'missing',
  'expiring',
  'early',
  'failing',
];

/** The concerns about certificates, the most urgent first. */
export function concernsOf(
  certificates: readonly CertificateView[],
  now: Date,
): readonly Concern[] {
  const found = certificates.flatMap((one) => concernOf(one, now) ?? []);
  return found.toSorted((one, other) => order.indexOf(one.kind) - order.indexOf(other.kind));
}

/** The concern about a certificate; undefined when all is well. */
export function concernOf(certificate: CertificateView, now: Date): Concern | undefined {
  const judged = judge(certificate, now);
  return judged === undefined ? undefined : { id: certificate.id, ...judged };
}

function judge(certificate: CertificateView, now: Date): Judged | undefined {
  const { id, state, lastError, notAfter, notBefore, nextAttempt } = certificate;
  const because = lastError === '' ? '' : `: ${lastError}`;
  const expiry = notAfter === 0 ? 'there is no certificate yet' : expiryText(notAfter, now);
  const again = nextAttempt === 0 ? '' : `; the next attempt is ${relativeTime(nextAttempt, now)}`;
  switch (state) {
    case 'damaged':
      return { kind: 'damaged', text: `damaged${because}`, advice: replacement(certificate) };
    case 'stuck':
      return {
        kind: isOver(certificate, now) ? 'expired' : 'stuck',
        text: `stuck, ${expiry}${because}${again}`,
        advice: `once the cause is removed: 'iotedgectl certificates ${notAfter === 0 ? 'request' : 'renew'} ${id}'`,
      };
    case 'pending':
      return lastError === ''
        ? undefined
        : {
            kind: 'missing',
            text: `${expiry}${because}${again}`,
            advice: nextAttempt === 0 ? clock : waiting(id, 'request'),
          };
    case 'not-yet-valid':
      return {
        kind: 'early',
        text: `not valid before ${formatTime(notBefore)}${because}`,
        advice: clock,
      };
    default:
  }
  if (isOver(certificate, now)) {
    const text = `${expiry}${because}${again}`;
    return { kind: 'expired', text, advice: replacement(certificate) };
  }
  if (expiresSoon(certificate, now)) {
    const text = `${expiry}${because}${again}`;
    return { kind: 'expiring', text, advice: replacement(certificate) };
  }
  if (lastError === '') return undefined;
  const text = `not renewed yet, ${expiry}${because}${again}`;
  return { kind: 'failing', text, advice: nextAttempt === 0 ? clock : waiting(id, 'renew') };
}

function isOver({ notAfter }: CertificateView, now: Date): boolean {
  return notAfter !== 0 && notAfter / 1000 < now.getTime();
}

/** Whether little is left of the life of a certificate, and its renewal is not yet to come. */
function expiresSoon({ notBefore, notAfter, renewAt }: CertificateView, now: Date): boolean {
  if (notAfter === 0 || renewAt / 1000 > now.getTime()) return false;
  const life = (notAfter - notBefore) / 1000;
  const notice = Math.min(longestNotice, life * (renewAt === 0 ? share : renewedShare));
  return notAfter / 1000 - now.getTime() < notice;
}

function replacement({ id, isPreloaded, method, renewAt }: CertificateView): string {
  if (isPreloaded) return 'replace its file, which certificates.yaml names under preloaded_cert';
  if (method === 'external') {
    return `the service that imports it renews it: see its status; 'iotedgectl certificates csr ${id}' makes a request for a CA`;
  }
  if (renewAt !== 0) return `'iotedgectl certificates renew ${id}' tries at once`;
  return `'iotedgectl certificates import ${id} FILE --replace' puts another one in its place`;
}

function waiting(id: string, verb: 'request' | 'renew'): string {
  return `the service tries again by itself; 'iotedgectl certificates ${verb} ${id}' tries at once`;
}
