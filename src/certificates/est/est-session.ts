import type { Via } from '../../dbus/client/via.ts';
import { ServiceError } from '../../errors.ts';
import { unrotated } from '../../glob.ts';
import type { HttpsClient } from '../../https/https-client.ts';
import { HttpsFailure } from '../../https/https-failure.ts';
import type { HttpsRequest, HttpsResponse } from '../../https/https-request.ts';
import { certificatesService } from '../../interfaces/certificates.ts';
import { grantAdvice } from '../../interfaces/grants.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { errorTextOf, maxBodyBytes } from './answer-body.ts';
import { redirectOf } from './est-urls.ts';
import {
  anonymous,
  type Identity,
  type IdentityCertificate,
  judgeFailure,
  toClientCertificate,
} from './identities.ts';
import { Rejection } from './rejection.ts';

/** One request, which may depend on the certificate that is presented with it. */
export interface EstRequest {
  readonly url: string;
  /** PKCS#10 in DER, or what makes it on its connection; a GET without it. */
  readonly csr?: Buffer | ((tlsUnique: Buffer) => Promise<Buffer>);
}

/** Options of a session. */
export interface EstSessionOptions {
  readonly https: HttpsClient;
  readonly identities: readonly Identity[];
  /** Why certificates that are configured are not among the identities. */
  readonly missing: readonly string[];
  /** Called with each identity that cannot be offered, and the reason. */
  readonly onUnusable: (identity: string) => void;
  /** CA certificates that complete the chains of identities. */
  readonly cas: readonly Certificate[];
  /** The roots of TLS, PEM, as they are now. */
  readonly roots: () => Promise<string>;
  /** The value of the header Authorization. */
  readonly authorization: string | undefined;
  readonly proxy: string | undefined;
  readonly timeoutMs: number;
}

/** The client certificate that the server gets, as far as earlier responses show that it wants one. */
export type Presented = IdentityCertificate | undefined;

/** A response, and where the request was sent. */
export interface EstReply {
  readonly response: HttpsResponse;
  readonly url: string;
}

const maxRedirects = 3;
/** An hour, after which a server may know the client. */
const refusedAgainS = 3600;

/**
 * One attempt with an EST server: offers each identity once, each on a new connection, and keeps the first one that the
 * server does not refuse.
 */
export class EstSession {
  readonly #options: EstSessionOptions;
  readonly #refused: string[] = [];
  /** Whether a server has refused in so many words, rather than closed connections. */
  #isRefusal = false;
  /** The texts of those refusals that have one, which need not be about the identity. */
  readonly #texts = new Set<string>();
  /** Whether a request was refused that carried the tls-unique of its connection. */
  #isBoundRefused = false;
  /** Whether the server wants a client certificate: it gets that of the identity. */
  #isCertificateWanted = false;
  /** The identities that could not be offered because their keys are lost, and those whose keys may not be used. */
  readonly #lost: string[] = [];
  readonly #denied: string[] = [];
  /** Why an identity was not accepted. */
  #failure: unknown;
  #at = 0;

  constructor(options: EstSessionOptions) {
    this.#options = options;
  }

  /**
   * Sends a request with the current identity, then with the next ones. Rejects with a `Rejection` when the server
   * refuses all of them, or its own credentials; with Unavailable when it cannot be reached.
   */
  async send(requestFor: (presented: Presented) => EstRequest, via: Via): Promise<EstReply> {
    for (;;) {
      const identity = this.#identity();
      if (identity === undefined) throw this.#wantsAnother();
      const presented = this.#isCertificateWanted ? identity.certificate : undefined;
      const request = requestFor(presented);
      const response = await this.#offer(identity, request, via);
      if (response !== undefined) {
        this.#isCertificateWanted = response.isCertificateWanted === true;
        return { response, url: request.url };
      }
      this.#at++;
    }
  }

  /** A rejection with the identities that could not be offered: one of them may be what the server wants. */
  withUnusable(rejection: Rejection): Rejection {
    const unusable = [...this.#denied, ...this.#lost];
    const unnamed = unusable.filter((one) => !rejection.message.includes(one));
    return unnamed.length === 0
      ? rejection
      : rejection.with(`; not offered: ${unnamed.join(', ')}`);
  }

  /** The response, undefined when the server refuses the identity, or its key is lost or may not be used. */
  async #offer(
    identity: Identity,
    request: EstRequest,
    via: Via,
  ): Promise<HttpsResponse | undefined> {
    for (let closes = 0; ; ) {
      try {
        const response = await this.#follow(identity, request, via);
        if (response.status !== 401) return response;
        if (response.headers['www-authenticate'] !== undefined)
          throw this.#badCredentials(response);
        this.#noteRefusal(response, request);
        this.#refused.push(identity.name);
        return undefined;
      } catch (error) {
        const verdict = judgeFailure(error, identity);
        if (verdict === 'revoked') {
          const reason = `the server says that ${identity.name} is revoked`;
          throw new Rejection(reason, { isFinal: true, cause: error });
        }
        if (verdict === 'other') throw error;
        if (verdict === 'closed' && ++closes < 2) continue;
        if (verdict === 'refused') this.#isRefusal = true;
        this.#failure = error instanceof ServiceError ? error.cause : undefined;
        if (verdict === 'lost' || verdict === 'denied') this.#passOver(identity, verdict);
        else this.#refused.push(identity.name);
        return undefined;
      }
    }
  }

  #passOver({ name, certificate }: Identity, why: 'lost' | 'denied'): void {
    const isLost = why === 'lost';
    const reason = isLost ? 'whose key is lost' : deniedReason(certificate?.keyId ?? '');
    const unusable = `${name} (${reason})`;
    (isLost ? this.#lost : this.#denied).push(unusable);
    this.#options.onUnusable(unusable);
  }

  async #follow(identity: Identity, request: EstRequest, via: Via): Promise<HttpsResponse> {
    const deadline = performance.now() + this.#options.timeoutMs;
    for (let { url } = request, count = 0; ; count++) {
      const response = await this.#exchange(identity, { ...request, url }, deadline, via);
      const target = redirectOf(url, response);
      if (target === undefined || count === maxRedirects) return response;
      url = target;
    }
  }

  async #exchange(
    { certificate }: Identity,
    { url, csr }: EstRequest,
    deadline: number,
    via: Via,
  ): Promise<HttpsResponse> {
    const { https, cas, roots, authorization, proxy } = this.#options;
    const request: HttpsRequest = {
      method: csr === undefined ? 'GET' : 'POST',
      url,
      headers: {
        ...(csr !== undefined && {
          'content-type': 'application/pkcs10',
          'content-transfer-encoding': 'base64',
        }),
        ...(authorization !== undefined && { authorization }),
      },
      ...(Buffer.isBuffer(csr) && { body: base64Lines(csr) }),
      ...(certificate !== undefined && {
        clientCertificate: toClientCertificate(certificate, cas),
      }),
      ca: await roots(),
      ...(proxy !== undefined && { proxy }),
      requestId: via.requestId,
      isNewConnection: true,
      timeoutMs: Math.max(1, deadline - performance.now()),
      maxBodyBytes,
    };
    if (typeof csr !== 'function') return https.request(request, via.signal);
    const bodyFor = async (tlsUnique: Buffer) => Buffer.from(base64Lines(await csr(tlsUnique)));
    return https.request(request, via.signal, bodyFor);
  }

  /** 401 without a challenge: most servers want another identity, libest also another tls-unique. */
  #noteRefusal(response: HttpsResponse, { csr }: EstRequest): void {
    this.#isRefusal = true;
    if (typeof csr === 'function') this.#isBoundRefused = true;
    const text = errorTextOf(response);
    if (text !== '') this.#texts.add(JSON.stringify(text));
  }

  #badCredentials({ headers }: HttpsResponse): Rejection {
    const challenge = headers['www-authenticate'] ?? '';
    const options = { retryAfterS: refusedAgainS };
    if (!/(?:^|,)\s*basic\b/i.test(challenge)) {
      const scheme = /^[A-Za-z0-9-]{1,32}/.exec(challenge.trim())?.[0] ?? 'another scheme';
      const reason = `the server wants ${scheme} authentication, which is not supported`;
      return new Rejection(reason, options);
    }
    const reason =
      this.#options.authorization === undefined
        ? 'the server wants a user name and a password: username and password_file'
        : 'the server does not accept the user name and the password';
    return new Rejection(reason, options);
  }

  /** The current identity; when the keys of all are lost, none, as for a device that has no certificate yet. */
  #identity(): Identity | undefined {
    const { identities } = this.#options;
    const isAlone = this.#at === identities.length && this.#lost.length === this.#at;
    return identities[this.#at] ?? (isAlone ? anonymous : undefined);
  }

  /** The server's own words come first: the certificate may be none of its business. */
  #complaint(): string {
    if (this.#texts.size === 0 && !this.#isBoundRefused) return 'the server wants';
    const status = ['status 401', ...this.#texts].join(' ');
    if (!this.#isBoundRefused) return `the server refuses the request: ${status}; it may want`;
    const proxy = 'a proxy that ends TLS in between has another one';
    return `the server refuses the request with the tls-unique of its connection: ${status}; ${proxy}; it may also want`;
  }

  #wantsAnother(): Error {
    const unusable = [...this.#denied, ...this.#lost, ...this.#options.missing];
    const offered = [...this.#refused, ...unusable].join(', ');
    const reason =
      this.#refused.length === 0
        ? `no client certificate can be used: ${offered}`
        : `${this.#complaint()} another client certificate: offered ${offered}`;
    // a server that only closes connections may just be out of order
    if (!this.#isRefusal) return new ServiceError('Unavailable', reason, { cause: this.#failure });
    return new Rejection(reason, { retryAfterS: refusedAgainS });
  }
}

function deniedReason(keyId: string): string {
  const user = certificatesService.user;
  const advice = grantAdvice(user, ['org.iotedge.keys1.sign'], unrotated(keyId));
  return `${user} may not sign with its key: ${advice}`;
}

/** Servers refuse one long line, PEM armour, and a body that does not end in a line break. */
function base64Lines(der: Buffer): string {
  return `${der.toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n`;
}

const unknownRootCodes: ReadonlySet<string> = new Set([
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
]);

/** Names the root of a server whose certificate does not verify, and the setting that would make it trusted. */
export function explainUnknownRoot(error: unknown, issuer: string): unknown {
  const failure = error instanceof ServiceError ? error.cause : undefined;
  if (!(failure instanceof HttpsFailure) || failure.kind !== 'server-certificate') return error;
  const { topmost } = failure.facts;
  if (topmost === undefined || !unknownRootCodes.has(failure.code)) return error;
  const { subject, issuer: above, fingerprint, isSelfIssued } = topmost;
  const root = isSelfIssued
    ? `its root ${JSON.stringify(subject)} (SHA-256 ${fingerprint})`
    : `the issuer ${JSON.stringify(above)} of its certificate ${JSON.stringify(subject)} (SHA-256 ${fingerprint})`;
  const message = `${(error as ServiceError).message}: ${root} is not trusted: see issuers.${issuer}.trusted_ca`;
  return new ServiceError('Unavailable', message, { cause: error });
}
