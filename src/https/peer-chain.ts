import type { Duplex } from 'node:stream';
import { type DetailedPeerCertificate, TLSSocket } from 'node:tls';
import type { TopmostCertificate } from './https-failure.ts';

const maxChain = 16;
const remembered = new WeakMap<object, TopmostCertificate>();

/**
 * Keeps the topmost certificate of the server for a failure message: Node destroys the connection, and the chain with
 * it, before it reports that the certificate does not verify.
 */
export function rememberTopmost<Stream extends Duplex>(stream: Stream): Stream {
  if (!(stream instanceof TLSSocket)) return stream;
  // before Node's own listener, which verifies
  stream.prependOnceListener('secure', () => {
    const topmost = readTopmost(stream);
    if (topmost !== undefined) remembered.set(stream, topmost);
  });
  return stream;
}

/** The topmost certificate that the server of a connection sent; undefined when there was none. */
export function topmostOf(stream: object): TopmostCertificate | undefined {
  return remembered.get(stream);
}

function readTopmost(socket: TLSSocket): TopmostCertificate | undefined {
  let current: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  for (let depth = 0; depth < maxChain; depth++) {
    const above: DetailedPeerCertificate | undefined = current.issuerCertificate;
    if (above === undefined || above === current) break;
    current = above;
  }
  if (current.fingerprint256 === undefined) return undefined;
  const subject = nameOf(current.subject);
  const issuer = nameOf(current.issuer);
  return {
    subject,
    issuer,
    fingerprint: current.fingerprint256.replaceAll(':', '').toLowerCase(),
    isSelfIssued: subject === issuer,
  };
}

function nameOf(name: object): string {
  return Object.entries(name)
    .map(([type, value]) => `${type}=${String(value)}`)
    .toReversed()
    .join(',');
}
