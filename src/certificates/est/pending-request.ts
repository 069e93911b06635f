import type { EstSettings } from '../config/est-settings.ts';
import type { Order } from '../issuers/issuer.ts';
import { type Operation, urlOf } from './est-urls.ts';

/** The request with which a pending order is asked for. */
export interface PendingRequest {
  readonly pendingUrl: string;
  readonly csr: Buffer;
  /** Whether it is signed anew on each connection. */
  readonly isBound: boolean;
}

const boundMark = 'tls-unique';
const operations: readonly Operation[] = ['simpleenroll', 'simplereenroll'];

/** The cookie of an order: its URL, the request where that is not the one of the order, and whether it is bound. */
export function formatCookie(
  url: string,
  { csr, order, isBound }: Pick<PendingRequest, 'csr' | 'isBound'> & { readonly order: Order },
): string {
  if (csr.equals(order.csr) && !isBound) return url;
  return `${url} ${csr.toString('base64')}${isBound ? ` ${boundMark}` : ''}`;
}

/** What a cookie says; undefined without one, and once the settings lead elsewhere. */
export function pendingRequestOf(
  { cookie, csr: ordered }: Order,
  settings: EstSettings,
): PendingRequest | undefined {
  const [pendingUrl, csr = '', mark] = cookie?.split(' ') ?? [];
  const urls = operations.map((operation) => urlOf(settings, operation));
  if (pendingUrl === undefined || !urls.includes(pendingUrl)) return undefined;
  return {
    pendingUrl,
    csr: csr === '' ? ordered : Buffer.from(csr, 'base64'),
    isBound: mark === boundMark,
  };
}
