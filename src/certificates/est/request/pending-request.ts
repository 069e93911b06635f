import { isServiceError } from '../../../errors.ts';
import { type Signer, signatureAlgorithms } from '../../../x509/algorithm.ts';
import { requestInfoOf } from '../../../x509/csr.ts';
import type { EstSettings } from '../../config/est-settings.ts';
import type { Order, OrderKey } from '../../issuers/issuer.ts';
import { type Operation, urlOf } from '../est-urls.ts';

/** A request as it is sent. */
export type EnrolRequest =
  | { readonly kind: 'signed'; readonly csr: Buffer }
  /** Signed on each connection, with its tls-unique. */
  | { readonly kind: 'bound'; readonly template: Buffer; readonly signer: Signer };

/** A pending order. */
export interface PendingRequest {
  readonly pendingUrl: string;
  readonly request: EnrolRequest;
  /** The names of what the server wanted and the request lacks. */
  readonly unmet: readonly string[];
}

const boundMark = 'tls-unique';
const signedMark = 'signed';
const operations: readonly Operation[] = ['simpleenroll', 'simplereenroll'];

/**
 * The cookie of an order: its URL, and the request, of which one that is bound is a template only, with what the request
 * lacks.
 */
export function formatCookie(url: string, request: EnrolRequest, unmet: readonly string[]): string {
  const parts =
    request.kind === 'signed'
      ? [request.csr.toString('base64'), signedMark, '-']
      : [request.template.toString('base64'), boundMark, request.signer.algorithm];
  return [url, ...parts, ...unmet.map(encodeURIComponent)].join(' ');
}

/** What a cookie says; undefined without one, and once the settings lead elsewhere. */
export function pendingRequestOf(
  { cookie, request: ordered, key }: Order,
  settings: EstSettings,
): PendingRequest | undefined {
  const [pendingUrl, content = '', mark, algorithm, ...names] = cookie?.split(' ') ?? [];
  const urls = operations.map((operation) => urlOf(settings, operation));
  if (pendingUrl === undefined || !urls.includes(pendingUrl)) return undefined;
  // former versions kept a CSR with the order, and in the cookie of one that is bound
  const sent = content === '' ? ordered : Buffer.from(content, 'base64');
  const unmet = names.map(decodeURIComponent);
  if (mark !== boundMark) return { pendingUrl, unmet, request: { kind: 'signed', csr: sent } };
  const template = readTemplate(sent);
  const signer = signerOf(key, algorithm);
  if (template === undefined || signer === undefined) return undefined;
  return { pendingUrl, unmet, request: { kind: 'bound', template, signer } };
}

function readTemplate(request: Buffer): Buffer | undefined {
  try {
    return requestInfoOf(request);
  } catch (error) {
    if (isServiceError(error, 'InvalidArgs')) return undefined;
    throw error;
  }
}

function signerOf({ signer, signerWith }: OrderKey, algorithm = ''): Signer | undefined {
  const wanted = signatureAlgorithms.find((one) => one === algorithm);
  if (wanted === undefined || wanted === signer?.algorithm) return signer;
  return signerWith?.(wanted) ?? signer;
}
