import type { Via } from '../../dbus/client/via.ts';
import { describeError } from '../../errors.ts';
import type { HttpsClient } from '../../https/https-client.ts';
import type { Log } from '../../service/log/log.ts';
import type { KeyAlgorithm } from '../../x509/algorithm.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { raw } from '../../x509/der/asn1.ts';
import { decodeName } from '../../x509/name.ts';
import type { EstSettings } from '../config/est-settings.ts';
import type { Answer, Issuer, KeylessOrder, Order, Preparation } from '../issuers/issuer.ts';
import { type Judgement, judgeIssued } from '../judgement/judgement.ts';
import { certificatesIn, decodeBase64, refuseEncoding } from './answer-body.ts';
import { type EstRequest, EstSession, explainUnknownRoot, type Presented } from './est-session.ts';
import { type Operation, urlOf } from './est-urls.ts';
import { explainVersion, isBadAnswer, rejectionFor } from './failures.ts';
import { type Identity, type IdentityCertificate, identitiesOf } from './identities.ts';
import type { PreparedOrder, PreparedOrders } from './prepared-orders.ts';
import { Rejection } from './rejection.ts';
import {
  type Demand,
  parseCsrAttributes,
  wantsChallengePassword,
} from './request/csr-attributes.ts';
import { bind, contentOf, followDemands, signatureOf } from './request/followed-request.ts';
import { bestKeys, rekeyFor } from './request/key-demands.ts';
import { type EnrolRequest, formatCookie, pendingRequestOf } from './request/pending-request.ts';
import { isSameRequest } from './request/renewed-names.ts';
import { unmetBy } from './request/unmet-demands.ts';
import { retryAfterOf } from './retry-after.ts';
import type { AnchorStore } from './trust/anchor-store.ts';
import { anchorsFor, type TaughtAnchors } from './trust/anchors.ts';
import { TlsRoots } from './trust/tls-roots.ts';

/** Options of an EST issuer. */
export interface EstIssuerOptions {
  /** Its name in the configuration. */
  readonly name: string;
  /** With the label and the bootstrap identity of the rule, where that has its own. */
  readonly settings: EstSettings;
  readonly https: HttpsClient;
  readonly anchors: AnchorStore;
  readonly prepared: PreparedOrders;
  /** The current certificate of an id and the id of its key; undefined when there is none. */
  readonly identity: (certificateId: string, via: Via) => Promise<IdentityCertificate | undefined>;
  /** The certificates of a file of `trusted_ca`. */
  readonly readFile: (path: string) => Promise<readonly Certificate[]>;
  /** The content of `password_file`. */
  readonly password: () => Promise<string>;
  readonly log: Log;
}

/** What a server is asked for. */
interface Asking {
  readonly session: EstSession;
  readonly order: KeylessOrder;
  readonly via: Via;
}

/** What an attempt has learned from its server. */
interface Attempt extends Asking {
  readonly order: Order;
  /** The roots that the server offers and that nothing vouches for. */
  readonly refused: readonly Certificate[];
  readonly others: readonly Certificate[];
}

/** An attempt with its request. */
interface Submission extends Attempt {
  readonly request: EnrolRequest;
  /** Where the order is pending. */
  readonly pendingUrl?: string;
  /** The names of what the server wants and the request lacks; a hash counts as it was used. */
  readonly unmet: () => readonly string[];
}

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
    const { prepared, settings } = this.#options;
    const known = prepared.take(order, settings);
    return this.#answered(async () => {
      const session = known?.session ?? (await this.#open(order, via));
      return inSession(session, () => this.#attempt(session, order, via, known));
    });
  }

  async prepare(
    order: KeylessOrder,
    allowed: readonly KeyAlgorithm[],
    via: Via,
  ): Promise<Preparation> {
    const { prepared, settings } = this.#options;
    // then no answer matters
    if (settings.csrattrs === 'ignore') return { kind: 'prepared', algorithms: [] };
    return this.#answered(async () => {
      const session = await this.#open(order, via);
      return inSession(session, async () => {
        const learned = await this.#learn({ session, order, via });
        prepared.put(order, settings, { session, ...learned });
        return { kind: 'prepared', algorithms: bestKeys(learned.demands, allowed) };
      });
    });
  }

  async #answered<T>(run: () => Promise<T>): Promise<T | ReturnType<Rejection['toAnswer']>> {
    try {
      return await run();
    } catch (error) {
      if (error instanceof Rejection) return error.toAnswer();
      throw explainUnknownRoot(error, this.#options.name);
    }
  }

  async #attempt(
    session: EstSession,
    order: Order,
    via: Via,
    known: PreparedOrder | undefined,
  ): Promise<Answer> {
    const started = { session, order, via, refused: [], others: [] };
    const pending = pendingRequestOf(order, this.#options.settings);
    // the request of a pending order does not change
    if (pending !== undefined)
      return this.#enrollNaming({ ...started, ...pending, unmet: () => pending.unmet });
    const { demands, ...learned } = { ...started, ...(known ?? (await this.#learn(started))) };
    const rekey = rekeyFor(order, demands);
    if (rekey !== undefined) return rekey;
    const request = await followDemands(order, demands);
    const unmet = () => unmetOf(order, request, demands);
    const submission = { ...learned, request, unmet };
    this.#logUnmet(submission);
    return this.#enrollNaming(submission);
  }

  /** As `#enroll`; a rejection, also of a pending order, names what was left out of the request. */
  async #enrollNaming(submission: Submission): Promise<Answer> {
    try {
      return await this.#enroll(submission);
    } catch (error) {
      const unmet = submission.unmet();
      if (!(error instanceof Rejection) || unmet.length === 0) throw error;
      throw error.with(`; the server also wants ${unmet.join(', ')}, which was left out`);
    }
  }

  async #learn(started: Asking): Promise<Omit<PreparedOrder, 'session'>> {
    const cas = await this.#askCas(started);
    return { ...cas, demands: await this.#demands(started) };
  }

  async #open(order: KeylessOrder, via: Via): Promise<EstSession> {
    const { settings, https, name, log } = this.#options;
    const missing: string[] = [];
    const find = async (id: string | undefined): Promise<Identity | undefined> => {
      if (id === undefined) return undefined;
      const certificate = await this.#options.identity(id, via);
      if (certificate !== undefined) return { name: `"${id}"`, certificate };
      missing.push(`"${id}" (which does not exist, or has no key)`);
      return undefined;
    };
    const renewed =
      order.renewed === undefined || order.renewed.keyId === ''
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
      onUnusable: (identity) => log.warn('client certificate not used', { issuer: name, identity }),
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
  async #askCas({ session, order, via }: Asking): Promise<Pick<Attempt, 'refused' | 'others'>> {
    const { anchors, name, settings, log } = this.#options;
    try {
      const { response } = await session.send(() => ({ url: urlOf(settings, 'cacerts') }), via);
      if (response.status !== 200) throw rejectionFor(response, 'cacerts', order.now);
      const others = certificatesIn(response, 'the answer of cacerts');
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

  #logUnmet({ order, unmet }: Submission): void {
    const { name, log } = this.#options;
    const attributes = unmet().join(', ');
    if (attributes === '') return;
    log.info('attributes left out', { issuer: name, certificateId: order.id, attributes });
  }

  /** None where the answer is unreadable: an order may succeed all the same. */
  async #demands({ session, order, via }: Asking): Promise<readonly Demand[]> {
    const { settings, name, log } = this.#options;
    const what = 'the answer of csrattrs';
    if (settings.csrattrs === 'ignore') return [];
    try {
      const { response } = await session.send(() => ({ url: urlOf(settings, 'csrattrs') }), via);
      if (response.status === 204 || response.status === 404) return [];
      if (response.status !== 200) throw rejectionFor(response, 'csrattrs', order.now);
      refuseEncoding(response, what);
      return parseCsrAttributes(decodeBase64(response.body, what));
    } catch (error) {
      if (!isBadAnswer(error)) throw error;
      log.warn('csrattrs failed', { issuer: name, error: describeError(error) });
      return [];
    }
  }

  async #enroll(attempt: Submission): Promise<Answer> {
    const { session, order, via, request, pendingUrl, unmet } = attempt;
    const requestFor = (presented: Presented): EstRequest => ({
      url: pendingUrl ?? urlOf(this.#options.settings, operationFor(order, request, presented)),
      csr: request.kind === 'signed' ? request.csr : (tlsUnique) => bind(request, tlsUnique),
    });
    const { response, url } = await session.send(requestFor, via).catch((error: unknown) => {
      throw request.kind === 'bound' ? explainVersion(error) : error;
    });
    const { status, headers } = response;
    if (status === 202) {
      const retryAfterS = retryAfterOf(headers['retry-after'], order.now, headers['date']);
      return { kind: 'pending', cookie: formatCookie(url, request, unmet()), retryAfterS };
    }
    if (status !== 200) throw rejectionFor(response, 'the order', order.now);
    return this.#judge(certificatesIn(response, 'the answer of the server'), attempt);
  }

  async #judge(certificates: readonly Certificate[], attempt: Submission): Promise<Answer> {
    const { order, pendingUrl, others } = attempt;
    const verdict = this.#verdict(certificates, attempt);
    if (verdict.kind === 'refused') {
      // the CAs may have changed while the order was pending
      if (pendingUrl !== undefined && others.length === 0) {
        const learned = { ...attempt, ...(await this.#askCas(attempt)) };
        if (learned.others.length > 0) return this.#judge(certificates, learned);
      }
      const reason = `${verdict.reason}${this.#refusedRoots(attempt)}`;
      throw new Rejection(reason);
    }
    const { name, log } = this.#options;
    for (const remark of verdict.remarks) {
      const fields = { issuer: name, certificateId: order.id, remark };
      log.info('certificate differs from its order', fields);
    }
    return { kind: 'issued', chain: verdict.chain };
  }

  #verdict(certificates: readonly Certificate[], { order, others }: Attempt): Judgement {
    const taught = this.#taught();
    if (taught === undefined) {
      const reason = 'the server has taught no CA certificates by cacerts';
      return { kind: 'refused', reason };
    }
    const { profile, names, key, now, subjectDer } = order;
    const subject = decodeName(raw(subjectDer));
    const all = [...others, ...taught.intermediates];
    return judgeIssued(
      { certificates, others: all, anchors: anchorsFor(taught) },
      { spki: key.spki, profile, subject, names },
      now,
    );
  }

  #refusedRoots({ refused }: Attempt): string {
    if (refused.length === 0) return '';
    const roots = refused.map(
      ({ subjectText, fingerprint }) => `${JSON.stringify(subjectText)} (SHA-256 ${fingerprint})`,
    );
    const setting = `issuers.${this.#options.name}.trusted_ca`;
    return `; the server has the new root ${roots.join(', ')}, which is not trusted: see ${setting}`;
  }
}

/** The names of what the server wants and the request lacks. */
function unmetOf(
  order: Order,
  request: EnrolRequest,
  demands: readonly Demand[],
): readonly string[] {
  const left = demands.filter((demand) => !wantsChallengePassword([demand]));
  if (left.length === 0) return [];
  const { spki } = order.key;
  return unmetBy({ content: contentOf(request), spki, signature: signatureOf(request) }, left);
}

/** A renewal with the same names is one only for a server that was shown the certificate which is renewed. */
function operationFor({ renewed }: Order, request: EnrolRequest, presented: Presented): Operation {
  const [before] = renewed?.chain ?? [];
  const isPresented =
    before !== undefined && presented?.chain[0]?.fingerprint === before.fingerprint;
  return isPresented && isSameRequest(contentOf(request), before)
    ? 'simplereenroll'
    : 'simpleenroll';
}

/** A rejection names the identities that could not be offered. */
async function inSession<T>(session: EstSession, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw error instanceof Rejection ? session.withUnusable(error) : error;
  }
}
