/** Attempts to get a certificate for an order: what the issuer returns, and what a failure leaves in the record. */
import type { Via } from '../../dbus/client/via.ts';
import { describeError, isServiceError, ServiceError } from '../../errors.ts';
import type { CertificateId } from '../../ids.ts';
import type { Log } from '../../service/log/log.ts';
import {
  type KeyAlgorithm,
  keyAlgorithmOf,
  keyAlgorithms,
  publicKeyOf,
} from '../../x509/algorithm.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { encodeName } from '../../x509/name.ts';
import type { CertificateEntry } from '../certificate-entry.ts';
import type { Answer, Issuer, KeylessOrder } from '../issuers/issuer.ts';
import type { OrderKeys } from '../keys/keys-client.ts';
import { isKeyMade, isSameOrder, type PendingOrder } from './enrolment.ts';
import { problemOf } from './issued-problem.ts';
import type { OrderRule } from './order-rule.ts';
import { retryDelay, type Setback } from './pacing.ts';
import type { Records } from './records.ts';
import * as transitions from './transitions.ts';

/** The configuration in force. */
export interface Issuing {
  /** The rule of a record; undefined when its certificate is not issued here any more. */
  ruleOf(entry: CertificateEntry): OrderRule | undefined;
  issuerOf(rule: OrderRule): Issuer;
  /** A digest of the chain of a CA of this device; `` for another issuer. */
  issuerChainOf?(rule: OrderRule): string;
}

/** An attempt that did not succeed. */
export interface FailedAttempt {
  readonly id: CertificateId;
  readonly reason: string;
  /** Milliseconds since the epoch, 0 when there will be none. */
  readonly nextAttempt: number;
}

/** The parts of attempts. */
export interface AttemptsOptions {
  readonly records: Pick<Records, 'change' | 'get' | 'ids' | 'replace'>;
  readonly keys: OrderKeys;
  readonly issuing: () => Issuing;
  readonly onFailure: (failure: FailedAttempt) => void;
  readonly log: Log;
  readonly now: () => Date;
  readonly random: () => number;
}

/** The answer of an issuer that wants another key. */
export type Rekey = Extract<Answer, { kind: 'rekey' }>;

/** An order with a CSR, or the template of one. */
export interface Submission {
  readonly entry: CertificateEntry;
  readonly order: PendingOrder;
  readonly request: Buffer;
  readonly spki: Buffer;
}

/** An order with the rule that it is made by. */
interface Ordering {
  readonly entry: CertificateEntry;
  readonly order: PendingOrder;
  readonly rule: OrderRule;
}

/** Identifies records about a renewal that is stuck, whatever their text. */
export const stuckMessageId = '6d1f0c6e7b0f4c7f9a5d0a9f3f4b8e21';

/** Submits orders, and records how that ended. */
export class Attempts {
  readonly #options: AttemptsOptions;
  readonly #records: AttemptsOptions['records'];
  /** The failures that ended the last attempts: callers get their codes. */
  readonly #failures = new Map<CertificateId, ServiceError>();
  /** Those for which a certificate was issued since it was forgotten. */
  readonly #issued = new Set<CertificateId>();

  constructor(options: AttemptsOptions) {
    this.#options = options;
    this.#records = options.records;
  }

  /** Why the last attempt for a certificate failed. */
  failureOf(id: CertificateId): ServiceError | undefined {
    return this.#failures.get(id);
  }

  /** Whether a certificate was issued for an id since the last call of `forgetIssued`. */
  hasIssued(id: CertificateId): boolean {
    return this.#issued.has(id);
  }

  forgetIssued(id: CertificateId): void {
    this.#issued.delete(id);
  }

  /**
   * The algorithms that the issuer wants for a key that is still to be made; none when it does not matter. Resolves with
   * undefined when it cannot be asked, which is recorded as a failed attempt. Rejects only when it is aborted.
   */
  async wantedKeys(
    { entry, order, rule }: Ordering,
    via: Via,
  ): Promise<readonly KeyAlgorithm[] | undefined> {
    const issuer = this.#options.issuing().issuerOf(rule);
    const allowed = allowedBy(rule);
    const isOpen = order.keyAlgorithms.length === 0 && allowed.length > 1 && isKeyMade(entry);
    if (issuer.prepare === undefined || !isOpen) return order.keyAlgorithms;
    const subject = this.#subjectOf({ entry, order, rule });
    try {
      const answer = await issuer.prepare(subject, allowed, via);
      if (answer.kind === 'prepared') return answer.algorithms;
      await this.#refuse(entry, answer);
    } catch (error) {
      if (via.signal.aborted) throw error;
      await this.fail(entry, error, { kind: 'unreachable' });
    }
    return undefined;
  }

  /**
   * Submits an order and changes its record by what the issuer returns. Resolves with its answer when it wants another
   * key, which changes nothing. Rejects only when it is aborted.
   */
  async submit(submission: Submission, via: Via): Promise<Rekey | undefined> {
    // as it may be replaced meanwhile
    const issuerChain = this.issuerChainOf(submission.entry);
    let answer: Answer;
    try {
      answer = await this.#answerTo(submission, via);
    } catch (error) {
      if (via.signal.aborted) throw error;
      await this.fail(submission.entry, error, { kind: 'unreachable' }, { issuerChain });
      return undefined;
    }
    if (answer.kind === 'rekey') return answer;
    await this.#take(submission, answer, issuerChain);
    return undefined;
  }

  /** A digest of the chain of the issuer by the rule of a record; `` when it is no CA of this device. */
  issuerChainOf(entry: CertificateEntry): string {
    const issuing = this.#options.issuing();
    const rule = issuing.ruleOf(entry);
    return (rule && issuing.issuerChainOf?.(rule)) ?? '';
  }

  #answerTo({ entry, order, request, spki }: Submission, via: Via): Promise<Answer> {
    const { keys, issuing } = this.#options;
    const rule = issuing().ruleOf(entry);
    if (rule === undefined) throw new ServiceError('NotSupported', 'its rule has changed');
    return issuing()
      .issuerOf(rule)
      .submit(
        {
          ...this.#subjectOf({ entry, order, rule }),
          key: {
            keyId: order.keyId,
            spki,
            signer: keys.signer(order.keyId, spki, via),
            signerWith: (algorithm) => keys.signer(order.keyId, spki, via, algorithm),
            alternatives: alternativesTo(entry, order, rule, spki),
          },
          request,
          cookie: order.cookie,
        },
        via,
      );
  }

  #subjectOf({ entry: { id, chain, keyId }, order, rule }: Ordering): KeylessOrder {
    return {
      id,
      profile: order.profile,
      lifetimeS: rule.lifetimeS,
      subjectDer: encodeName(rule.subject),
      names: rule.names,
      renewed: chain.length === 0 ? undefined : { chain, keyId },
      now: this.#options.now(),
    };
  }

  async #take(
    { entry, order, spki }: Submission,
    answer: Exclude<Answer, Rekey>,
    issuerChain: string,
  ): Promise<void> {
    const { now, random } = this.#options;
    const { id } = entry;
    switch (answer.kind) {
      case 'issued':
        return this.#takeIssued({ entry, order, spki }, answer.chain, issuerChain);
      case 'pending': {
        const { cookie, retryAfterS } = answer;
        const setback = { kind: 'pending', retryAfterS } as const;
        const at = now().getTime();
        const delayMs = retryDelay(setback, circumstancesOf(entry, order, at, random()));
        const reason = 'the issuer has not decided yet';
        const retry = { now: at, delayMs, reason };
        await this.#records.change(id, (current) =>
          isSameOrder(current, order) ? transitions.pending(current, cookie, retry) : undefined,
        );
        return;
      }
      case 'rejected':
        return this.#refuse(entry, answer, issuerChain);
    }
  }

  #refuse(
    entry: CertificateEntry,
    { reason, isFinal, isDecided = false, retryAfterS }: Extract<Answer, { kind: 'rejected' }>,
    issuerChain?: string,
  ): Promise<void> {
    const text = `the issuer refuses the certificate "${entry.id}": ${reason}`;
    const failure = new ServiceError(isFinal ? 'NotSupported' : 'Unavailable', text);
    const retried = isDecided ? transitions.decided(entry) : entry;
    const more = issuerChain === undefined ? { retried } : { retried, issuerChain };
    return this.fail(entry, failure, { kind: 'refused', retryAfterS }, more);
  }

  /** Takes a certificate also when a call has made its order due meanwhile: the issuer would issue a second one. */
  async #takeIssued(
    { entry, order, spki }: Omit<Submission, 'request'>,
    chain: readonly Certificate[],
    issuerChain: string,
  ): Promise<void> {
    const { log, now } = this.#options;
    const { id } = entry;
    const { keyId, issuer } = order;
    const [leaf] = chain;
    let problem: ServiceError | undefined;
    const isTaken = await this.#records.change(id, (current) => {
      if (!isSameOrder(current, order)) return undefined;
      const { order: present = order } = current.enrolment ?? {};
      problem = problemOf(leaf, { entry: current, order: present, spki, now: now() });
      return problem === undefined ? transitions.issued(current, chain) : undefined;
    });
    if (problem !== undefined) {
      // its CA may be about to end, which is replaced one day
      const setback: Setback = isServiceError(problem, 'NotSupported')
        ? { kind: 'short' }
        : { kind: 'refused', retryAfterS: undefined };
      // what was pending would lead to the same certificate
      const retried = transitions.decided(entry);
      await this.fail(entry, problem, setback, { retried, issuerChain });
    }
    if (!isTaken) return;
    this.#failures.delete(id);
    this.#issued.add(id);
    log.info('certificate issued', { certificateId: id, keyId, issuer });
  }

  /** Records a failed attempt and when the next one is. */
  async fail(
    entry: CertificateEntry,
    error: unknown,
    setback: Setback,
    {
      retried = entry,
      issuerChain = this.issuerChainOf(entry),
    }: { readonly retried?: CertificateEntry; readonly issuerChain?: string } = {},
  ): Promise<void> {
    const { log, now, onFailure, random } = this.#options;
    const { id, enrolment } = entry;
    const order = enrolment?.order;
    if (order === undefined) return;
    const at = now().getTime();
    const isFinal = isServiceError(error, 'InvalidArgs') || isServiceError(error, 'NotSupported');
    const delayMs = retryDelay(setback, circumstancesOf(entry, order, at, random()));
    const reason = describeError(error);
    const failure = isServiceError(error)
      ? error
      : new ServiceError('Failed', 'internal error', { cause: error });
    this.#failures.set(id, failure);
    const isRepeated = setback.kind === 'short';
    const retry = { now: at, delayMs, reason, isFinal, isRepeated, issuerChain };
    const next = transitions.failed(retried, retry);
    if (!(await this.#records.replace(entry, next))) return;
    const nextAttempt = isFinal && !isRepeated ? 0 : at + delayMs;
    const fields = {
      certificateId: id,
      issuer: order.issuer,
      reason,
      ...(nextAttempt !== 0 && { nextAttempt: new Date(nextAttempt).toISOString() }),
    };
    if (!isFinal) log.warn('certificate not renewed, will retry', fields);
    else {
      const stuck = { ...fields, messageId: stuckMessageId };
      log.error('certificate not renewed, renewal is stuck', stuck);
    }
    onFailure({ id, reason, nextAttempt });
  }
}

/** The algorithms of keys that may replace the one of an order: once, and only where that was made for it. */
function alternativesTo(
  entry: CertificateEntry,
  { isRekeyed, keyAlgorithms: wanted }: PendingOrder,
  rule: OrderRule,
  spki: Buffer,
): readonly KeyAlgorithm[] {
  if (isRekeyed || !isKeyMade(entry)) return [];
  // a token that has made another key than the issuer wanted would do so again
  const isOther = wanted.length > 0 && !wanted.includes(keyAlgorithmOf(publicKeyOf(spki)));
  return isOther ? [] : allowedBy(rule);
}

function allowedBy({ keyAlgorithms: allowed }: OrderRule): readonly KeyAlgorithm[] {
  return allowed.length === 0 ? keyAlgorithms : allowed;
}

function circumstancesOf(
  { chain: [current] }: CertificateEntry,
  { attempts }: PendingOrder,
  now: number,
  random: number,
) {
  return { attempts, current, now, random };
}
