import type { Via } from '../../dbus/client/via.ts';
import { describeError, isServiceError, ServiceError } from '../../errors.ts';
import type { HttpsClient } from '../../https/https-client.ts';
import { HttpsFailure } from '../../https/https-failure.ts';
import type { Log } from '../../service/log/log.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { raw } from '../../x509/der/asn1.ts';
import { decodeName } from '../../x509/name.ts';
import type { EstSettings } from '../config/est-settings.ts';
import type { Answer, Issuer, Order } from '../issuers/issuer.ts';
import { judgeIssued } from '../judgement/judgement.ts';
import type { AnchorStore } from './anchor-store.ts';
import { anchorsFor, type TaughtAnchors } from './anchors.ts';
import { certificatesIn, decodeBase64, errorTextOf, refuseEncoding } from './answer-body.ts';
import {
  type Demand,
  parseCsrAttributes,
  unmetBy,
  wantsChallengePassword,
} from './csr-attributes.ts';
import { type EstReply, EstSession, explainUnknownRoot } from './est-session.ts';
import { type Operation, urlOf } from './est-urls.ts';
import { type Identity, type IdentityCertificate, identitiesOf } from './identities.ts';
import { Rejection } from './rejection.ts';
import { isSameRequest } from './renewed-names.ts';
import { retryAfterOf } from './retry-after.ts';
import { TlsRoots } from './tls-roots.ts';

/** Options of an EST issuer. */
export interface EstIssuerOptions {
  /** Its name in the configuration. */
  readonly name: string;
  /** With the label and the bootstrap identity of the rule, where that has its own. */
  readonly settings: EstSettings;
  readonly https: HttpsClient;
  readonly anchors: AnchorStore;
  /** The current certificate of an id and the id of its key; undefined when there is none. */
  readonly identity: (certificateId: string, via: Via) => Promise<IdentityCertificate | undefined>;
  /** The certificates of a file of `trusted_ca`. */
  readonly readFile: (path: string) => Promise<readonly Certificate[]>;
  /** The content of `password_file`. */
  readonly password: () => Promise<string>;
  readonly log: Log;
}

/** What an attempt has learned from its server. */
interface Attempt {
  readonly session: EstSession;
  readonly order: Order;
  readonly via: Via;
  /** The roots that the server offers and that nothing vouches for. */
  readonly refused: readonly Certificate[];
  readonly others: readonly Certificate[];
  readonly unmet: readonly string[];
}

const hourS = 3600;

/** Orders certificates from an EST server (RFC 7030). */
export class EstIssuer implements Issuer {
  readonly #options: EstIssuerOptions;
  readonly #roots: TlsRoots;

  constructor(options: EstIssuerOptions) {
    this.#options = options;
    const taught = (): TaughtAnchors | undefined => this.#taught();
    this.#roots = new TlsRoots({ ...options, files: options.settings.trustedCa, taught });
  }

  async submit(order: Order, via: Via): Promise<Answer> {
    try {
      return await this.#attempt(order, via);
    } catch (error) {
      if (error instanceof Rejection) return error.toAnswer();
      throw explainUnknownRoot(error, this.#options.name);
    }
  }

  async #attempt(order: Order, via: Via): Promise<Answer> {
    const session = await this.#open(order, via);
    const isPending = this.#pendingUrl(order) !== undefined;
    const started = { session, order, via, refused: [], others: [], unmet: [] };
    // a pending order goes on where it is: its request does not change any more
    const learned = isPending ? started : { ...started, ...(await this.#askCas(started)) };
    const attempt = isPending ? learned : { ...learned, unmet: await this.#askAttributes(learned) };
    try {
      return await this.#enroll(attempt);
    } catch (error) {
      if (!(error instanceof Rejection) || attempt.unmet.length === 0) throw error;
      throw error.with(`; the server also wants ${attempt.unmet.join(', ')}, which was left out`);
    }
  }

  async #open(order: Order, via: Via): Promise<EstSession> {
    const { settings, https } = this.#options;
    const missing: string[] = [];
    const find = async (id: string | undefined): Promise<Identity | undefined> => {
      if (id === undefined) return undefined;
      const certificate = await this.#options.identity(id, via);
      if (certificate !== undefined) return { name: `"${id}"`, certificate };
      missing.push(`"${id}" (which does not exist)`);
      return undefined;
    };
    const renewed =
      order.renewed === undefined
        ? undefined
        : { name: `"${order.id}"`, certificate: order.renewed };
    const first = settings.identity === undefined ? renewed : await find(settings.identity);
    const bootstrap = await find(settings.bootstrap);
    const authorization = await this.#authorization();
    const candidates = { first, bootstrap, hasPassword: authorization !== undefined };
    return new EstSession({
      https,
      identities: identitiesOf(candidates, order.now),
      missing,
      cas: this.#taught()?.intermediates ?? [],
      roots: () => this.#roots.read(order.now),
      authorization,
      proxy: settings.proxy,
      timeoutMs: settings.timeoutMs,
    });
  }

  async #authorization(): Promise<string | undefined> {
    const { settings, password } = this.#options;
    if (settings.username === undefined) return undefined;
    const credentials = `${settings.username}:${await password()}`;
    return `Basic ${Buffer.from(credentials).toString('base64')}`;
  }

  #taught(): TaughtAnchors | undefined {
    const { anchors, name, settings } = this.#options;
    return anchors.taughtBy(name, settings);
  }

  /** Learns the trust anchors; a failure matters only to a client that knows none. */
  async #askCas({ session, order, via }: Attempt): Promise<Pick<Attempt, 'refused' | 'others'>> {
    const { anchors, name, settings, log } = this.#options;
    try {
      const reply = await session.send(() => ({ url: urlOf(settings, 'cacerts') }), via);
      if (reply.response.status !== 200) throw rejectionFor(reply, 'cacerts');
      const others = certificatesIn(reply.response, 'the answer of cacerts');
      const trusted = await this.#roots.trusted();
      const vouchers = { trusted, now: order.now };
      const { added, refused } = await anchors.learn(name, settings, others, vouchers);
      for (const { subjectText, fingerprint } of added) {
        log.info('trust anchor learned', { issuer: name, subject: subjectText, fingerprint });
      }
      for (const { subjectText, fingerprint } of refused) {
        log.warn('trust anchor refused', { issuer: name, subject: subjectText, fingerprint });
      }
      return { refused, others };
    } catch (error) {
      if (this.#taught() === undefined || !isBadAnswer(error)) throw error;
      log.warn('cacerts failed', { issuer: name, error: describeError(error) });
      return { refused: [], others: [] };
    }
  }

  /** The names of the attributes that the server wants and that the request lacks. */
  async #askAttributes({ session, order, via }: Attempt): Promise<readonly string[]> {
    const { settings, name, log } = this.#options;
    if (settings.csrattrs === 'ignore') return [];
    const demands = await this.#demands(session, via);
    if (wantsChallengePassword(demands)) {
      const reason =
        'the server wants the challengePassword of RFC 7030 3.5 (tls-unique), which is not supported';
      throw new Rejection(reason);
    }
    const unmet = unmetBy(order.csr, order.key.spki, demands);
    if (unmet.length > 0) {
      log.info('attributes left out', {
        issuer: name,
        certificateId: order.id,
        attributes: unmet.join(', '),
      });
    }
    return unmet;
  }

  /** None where the answer is unreadable: an order may succeed all the same. */
  async #demands(session: EstSession, via: Via): Promise<readonly Demand[]> {
    const { settings, name, log } = this.#options;
    const what = 'the answer of csrattrs';
    try {
      const reply = await session.send(() => ({ url: urlOf(settings, 'csrattrs') }), via);
      const { response } = reply;
      if (response.status === 204 || response.status === 404) return [];
      if (response.status !== 200) throw rejectionFor(reply, 'csrattrs');
      refuseEncoding(response, what);
      return parseCsrAttributes(decodeBase64(response.body, what));
    } catch (error) {
      if (!isBadAnswer(error)) throw error;
      log.warn('csrattrs failed', { issuer: name, error: describeError(error) });
      return [];
    }
  }

  async #enroll(attempt: Attempt): Promise<Answer> {
    const { session, order, via } = attempt;
    const url = (identity: Identity): string =>
      this.#pendingUrl(order) ?? urlOf(this.#options.settings, operationFor(order, identity));
    const reply = await session.send((identity) => ({ url: url(identity), csr: order.csr }), via);
    const { status, headers } = reply.response;
    if (status === 202) {
      const retryAfterS = retryAfterOf(headers['retry-after'], order.now, headers['date']);
      return { kind: 'pending', cookie: reply.url, retryAfterS };
    }
    if (status !== 200) throw rejectionFor(reply, 'the order');
    const certificates = certificatesIn(reply.response, 'the answer of the server');
    return this.#judge(certificates, attempt);
  }

  async #judge(certificates: readonly Certificate[], attempt: Attempt): Promise<Answer> {
    const { order } = attempt;
    const { name, log } = this.#options;
    const taught = this.#taught();
    if (taught === undefined) {
      throw new Rejection('the server has taught no CA certificates by cacerts');
    }
    const { profile, names, key, now, renewed } = order;
    const subject = decodeName(raw(order.subjectDer));
    const others = [...attempt.others, ...taught.intermediates];
    const verdict = judgeIssued(
      { certificates, others, anchors: anchorsFor(taught) },
      { spki: key.spki, profile, subject, names, notAfter: renewed?.chain[0]?.notAfter },
      now,
    );
    if (verdict.kind === 'refused') {
      const reason = `${verdict.reason}${this.#refusedRoots(attempt)}`;
      throw new Rejection(reason, { isFinal: verdict.isFinal });
    }
    for (const remark of verdict.remarks) {
      log.info('certificate differs from its order', {
        issuer: name,
        certificateId: order.id,
        remark,
      });
    }
    return { kind: 'issued', chain: verdict.chain };
  }

  #refusedRoots({ refused }: Attempt): string {
    if (refused.length === 0) return '';
    const roots = refused.map(
      ({ subjectText, fingerprint }) => `${JSON.stringify(subjectText)} (SHA-256 ${fingerprint})`,
    );
    const setting = `issuers.${this.#options.name}.trusted_ca`;
    return `; the server has the new root ${roots.join(', ')}, which is not trusted: see ${setting}`;
  }

  /** The URL of a pending order; undefined once the settings lead elsewhere. */
  #pendingUrl({ cookie }: Order): string | undefined {
    const operations: readonly Operation[] = ['simpleenroll', 'simplereenroll'];
    return operations
      .map((operation) => urlOf(this.#options.settings, operation))
      .find((url) => url === cookie);
  }
}

/** A renewal with the same names is one only for a server that was shown the certificate which is renewed. */
function operationFor({ renewed, csr }: Order, { certificate }: Identity): Operation {
  const [before] = renewed?.chain ?? [];
  const isPresented =
    before !== undefined && certificate?.chain[0]?.fingerprint === before.fingerprint;
  return isPresented && isSameRequest(csr, before) ? 'simplereenroll' : 'simpleenroll';
}

/** Whether an optional operation got an answer that is of no use, rather than none, or one that ends the attempt. */
function isBadAnswer(error: unknown): boolean {
  if (error instanceof Rejection) return !error.isFinal && error.retryAfterS === undefined;
  if (isServiceError(error, 'InvalidArgs')) return true;
  if (!isServiceError(error, 'Unavailable')) return false;
  return !(error.cause instanceof HttpsFailure) || error.cause.kind === 'response';
}

/** Unavailable for what passes by itself, else a rejection that names the status and the server's text. */
function rejectionFor({ response }: EstReply, what: string): Error {
  const { status } = response;
  const text = errorTextOf(response);
  const reason = `${what}: status ${status}${text === '' ? '' : `: ${text}`}`;
  if (status === 429 || status === 503) {
    // busy: it must not be asked for anything else now
    const cause = new HttpsFailure('connection', `HTTP_${status}`, reason);
    return new ServiceError('Unavailable', reason, { cause });
  }
  if (status >= 500) return new ServiceError('Unavailable', reason);
  return new Rejection(reason, status === 403 ? { retryAfterS: hourS } : {});
}
