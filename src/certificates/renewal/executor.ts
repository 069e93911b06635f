/** Carries out the steps of enrolments and renewals: each is an effect, and then one change of the record. */
import type { Via } from '../../dbus/client/via.ts';
import { describeError, isServiceError, ServiceError } from '../../errors.ts';
import type { CertificateId } from '../../ids.ts';
import type { Log } from '../../service/log/log.ts';
import { earliestClock } from '../../service/machine.ts';
import { encodeName } from '../../x509/name.ts';
import type { CertificateEntry } from '../certificate-entry.ts';
import type { Answer, Issuer } from '../issuers/issuer.ts';
import type { OrderKeys } from '../keys/keys-client.ts';
import type { PendingOrder } from './enrolment.ts';
import { problemOf } from './issued-problem.ts';
import { LostKeys } from './lost-keys.ts';
import { makeCsr } from './make-csr.ts';
import { type NewOrder, withNewOrder } from './new-order.ts';
import { type Circumstances, nextStep, type Step } from './next-step.ts';
import type { OrderRule } from './order-rule.ts';
import { retryDelay, type Setback } from './pacing.ts';
import type { Records } from './records.ts';
import * as transitions from './transitions.ts';

/** The configuration in force. */
export interface Issuing {
  /** The rule of a record; undefined when its certificate is not issued here any more. */
  ruleOf(entry: CertificateEntry): OrderRule | undefined;
  issuerOf(rule: OrderRule): Issuer;
}

/** An attempt that did not succeed. */
export interface FailedAttempt {
  readonly id: CertificateId;
  readonly reason: string;
  /** Milliseconds since the epoch, 0 when there will be none. */
  readonly nextAttempt: number;
}

/** The parts of an executor. */
export interface ExecutorOptions {
  readonly records: Pick<Records, 'get' | 'ids' | 'replace'>;
  readonly keys: OrderKeys;
  readonly issuing: () => Issuing;
  readonly onFailure: (failure: FailedAttempt) => void;
  readonly log: Log;
  readonly now: () => Date;
  readonly random: () => number;
}

/** An order with a CSR. */
interface Submission {
  readonly entry: CertificateEntry;
  readonly order: PendingOrder;
  readonly csr: Buffer;
  readonly spki: Buffer;
}

const notIssued = { isIssued: false, renewal: { afterShare: 1 }, settings: '' };

/** Carries out one step at a time; a record that changes meanwhile is read again. */
export class Executor {
  readonly #options: ExecutorOptions;
  readonly #records: ExecutorOptions['records'];
  readonly #lostKeys = new LostKeys();
  /** The failures that ended the last attempts: callers get their codes. */
  readonly #failures = new Map<CertificateId, ServiceError>();

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#records = options.records;
  }

  /** The next step of a record. */
  stepOf(entry: CertificateEntry): Step {
    const { issuing } = this.#options;
    return nextStep(entry, issuing().ruleOf(entry) ?? notIssued, this.#circumstances());
  }

  /** Why the last attempt for a certificate failed. */
  failureOf(id: CertificateId): ServiceError | undefined {
    return this.#failures.get(id);
  }

  /** Carries out the steps that are due; returns the record, undefined when there is none any more. */
  async advance(id: CertificateId, via: Via): Promise<CertificateEntry | undefined> {
    for (;;) {
      via.signal.throwIfAborted();
      const entry = this.#records.get(id);
      if (entry === undefined || entry.damage !== undefined) return entry;
      const step = this.stepOf(entry);
      if (['wait', 'end grace', 'retire key'].includes(step.kind)) return entry;
      await this.perform(entry, step, via);
    }
  }

  /** Looks whether the keys of issued certificates exist. Rejects when the Keys service is unreachable. */
  async checkKeys(via: Via): Promise<void> {
    const entries = this.#records.ids().flatMap((id) => this.#records.get(id) ?? []);
    await this.#lostKeys.checkAll(entries, { keys: this.#options.keys, via });
  }

  /** Persists an order for a call; one in progress is submitted at once. */
  async order(
    id: CertificateId,
    { rule, isNewKey }: { readonly rule: OrderRule; readonly isNewKey: boolean | undefined },
    via: Via,
  ): Promise<void> {
    const before = this.#records.get(id);
    const pending = before?.enrolment?.order;
    if (before !== undefined && pending !== undefined && pending.settings === rule.settings) {
      await this.#records.replace(
        before,
        transitions.hastened(before, this.#options.now().getTime()),
      );
      return;
    }
    const empty: CertificateEntry = { id, chain: [], keyId: '', preloaded: false };
    const entry = before ?? empty;
    const next = await this.#ordered(entry, { rule, isNewKey, isRequested: true }, via);
    if (await this.#records.replace(before, next)) return;
    throw new ServiceError('Unavailable', `the certificate "${id}" is being changed`);
  }

  /** Makes an order due. */
  async hasten(entry: CertificateEntry): Promise<void> {
    await this.#records.replace(entry, transitions.hastened(entry, this.#options.now().getTime()));
  }

  /** Drops the order of a certificate; without a certificate nothing is left but keys to be deleted. */
  async drop(id: CertificateId): Promise<void> {
    const entry = this.#records.get(id);
    if (entry?.enrolment?.order === undefined) return;
    if (!(await this.#records.replace(entry, transitions.abandoned(entry)))) await this.drop(id);
  }

  /** Deletes the keys that no record refers to any more, as far as the Keys service is reachable. */
  async tidy(id: CertificateId, via: Via): Promise<void> {
    for (;;) {
      const entry = this.#records.get(id);
      if (entry === undefined || entry.damage !== undefined) return;
      const step = this.stepOf(entry);
      if (step.kind !== 'retire key' && step.kind !== 'end grace') return;
      await this.perform(entry, step, via);
    }
  }

  /** Carries out one step. */
  async perform(entry: CertificateEntry, step: Step, via: Via): Promise<void> {
    const { now } = this.#options;
    switch (step.kind) {
      case 'order':
        return this.#reorder(entry, via);
      case 'make key':
        return this.#makeKey(entry, via);
      case 'submit':
      case 'poll':
        return this.#submit(entry, via);
      case 'commit':
        return this.#commit(entry, via);
      case 'restore': {
        const isKeyLost = this.#lostKeys.ids.has(entry.keyId);
        await this.#records.replace(entry, transitions.restored(entry, step.former, { isKeyLost }));
        return;
      }
      case 'discard':
        await this.#records.replace(entry, transitions.discarded(entry));
        return;
      case 'abandon':
        await this.#records.replace(entry, transitions.abandoned(entry));
        return;
      case 'end grace':
        await this.#records.replace(entry, transitions.graceEnded(entry, now().getTime()));
        return;
      case 'retire key':
        return this.#retireKey(entry, step.keyId, via);
      case 'wait':
        return;
    }
  }

  #circumstances(): Circumstances {
    const now = this.#options.now().getTime();
    return { now, earliest: earliestClock.getTime(), lostKeys: this.#lostKeys.ids };
  }

  async #reorder(entry: CertificateEntry, via: Via): Promise<void> {
    const rule = this.#options.issuing().ruleOf(entry);
    if (rule === undefined) return;
    const pending = entry.enrolment?.order;
    const isRequested = pending?.isRequested ?? false;
    try {
      const next = await this.#ordered(entry, { rule, isNewKey: undefined, isRequested }, via);
      await this.#records.replace(entry, next);
    } catch (error) {
      if (pending === undefined || via.signal.aborted) throw error;
      await this.#fail(entry, error, { kind: 'unreachable' });
    }
  }

  /** The record with a new order. */
  #ordered(
    entry: CertificateEntry,
    asked: Pick<NewOrder, 'rule' | 'isNewKey' | 'isRequested'>,
    via: Via,
  ): Promise<CertificateEntry> {
    const { keys, now } = this.#options;
    const order = { ...asked, lostKeys: this.#lostKeys.ids, now: now() };
    return withNewOrder(entry, order, { keys, via });
  }

  async #makeKey(entry: CertificateEntry, via: Via): Promise<void> {
    const { keys, issuing } = this.#options;
    const { order, ownKeys = [] } = entry.enrolment ?? {};
    const rule = issuing().ruleOf(entry);
    if (order === undefined || rule === undefined) return;
    const { keyId } = order;
    try {
      const isMade = ownKeys.includes(keyId) && keyId !== entry.keyId;
      const made = await makeCsr(rule, { keyId, isMade, renewed: entry.chain[0] }, { keys, via });
      this.#lostKeys.note(keyId, 'matches');
      await this.#records.replace(entry, transitions.keyMade(entry, made));
    } catch (error) {
      if (via.signal.aborted) throw error;
      await this.#fail(entry, error, { kind: 'unreachable' });
    }
  }

  async #submit(entry: CertificateEntry, via: Via): Promise<void> {
    const { order } = entry.enrolment ?? {};
    const { csr, spki } = order ?? {};
    if (order === undefined || csr === undefined || spki === undefined) return;
    const submission = { entry, order, csr, spki };
    let answer: Answer;
    try {
      if (await this.#lostKeys.check(order.keyId, spki, { keys: this.#options.keys, via })) {
        await this.#replaceKey(entry, order, via);
        return;
      }
      answer = await this.#answerTo(submission, via);
    } catch (error) {
      if (via.signal.aborted) throw error;
      await this.#fail(entry, error, { kind: 'unreachable' });
      return;
    }
    await this.#take(submission, answer);
  }

  /** Orders with another key in place of one that was lost, though not at once: it may be lost again. */
  async #replaceKey(entry: CertificateEntry, order: PendingOrder, via: Via): Promise<void> {
    const rule = this.#options.issuing().ruleOf(entry);
    if (rule === undefined) return;
    const { isRequested, keyId } = order;
    const next = await this.#ordered(entry, { rule, isNewKey: undefined, isRequested }, via);
    const lost = new ServiceError('Unavailable', `the key "${keyId}" was lost`);
    await this.#fail(entry, lost, { kind: 'unreachable' }, next);
  }

  #answerTo({ entry, order, csr, spki }: Submission, via: Via): Promise<Answer> {
    const { keys, issuing, now } = this.#options;
    const rule = issuing().ruleOf(entry);
    if (rule === undefined) throw new ServiceError('NotSupported', 'its rule has changed');
    const { id, chain, keyId } = entry;
    return issuing()
      .issuerOf(rule)
      .submit(
        {
          id,
          profile: order.profile,
          lifetimeS: rule.lifetimeS,
          subjectDer: encodeName(rule.subject),
          names: rule.names,
          key: { keyId: order.keyId, spki, signer: keys.signer(order.keyId, spki, via) },
          csr,
          cookie: order.cookie,
          renewed: chain.length === 0 ? undefined : { chain, keyId },
          now: now(),
        },
        via,
      );
  }

  async #take({ entry, order, spki }: Submission, answer: Answer): Promise<void> {
    const { log, now, random } = this.#options;
    const { id } = entry;
    switch (answer.kind) {
      case 'issued': {
        const problem = problemOf(answer.chain[0], { entry, order, spki, now: now() });
        if (problem === undefined) {
          this.#failures.delete(id);
          log.info('certificate issued', {
            certificateId: id,
            keyId: order.keyId,
            issuer: order.issuer,
          });
          await this.#records.replace(entry, transitions.issued(entry, answer.chain));
          return;
        }
        await this.#fail(entry, problem, { kind: 'refused', retryAfterS: undefined });
        return;
      }
      case 'pending': {
        const { cookie, retryAfterS } = answer;
        const setback = { kind: 'pending', retryAfterS } as const;
        const at = now().getTime();
        const delayMs = retryDelay(setback, circumstancesOf(entry, order, at, random()));
        const reason = 'the issuer has not decided yet';
        await this.#records.replace(
          entry,
          transitions.pending(entry, cookie, { now: at, delayMs, reason }),
        );
        return;
      }
      case 'rejected': {
        const { reason, isFinal, retryAfterS } = answer;
        const text = `the issuer refuses the certificate "${id}": ${reason}`;
        const failure = new ServiceError(isFinal ? 'NotSupported' : 'Unavailable', text);
        await this.#fail(entry, failure, { kind: 'refused', retryAfterS });
      }
    }
  }

  async #commit(entry: CertificateEntry, via: Via): Promise<void> {
    const { keys, now, log } = this.#options;
    const { successor } = entry.enrolment ?? {};
    const [certificate] = successor?.chain ?? [];
    if (successor === undefined || certificate === undefined) return;
    // then it is discarded
    if (await this.#lostKeys.check(successor.keyId, certificate.spki, { keys, via })) return;
    if (await this.#records.replace(entry, transitions.committed(entry, now().getTime()))) {
      log.info('certificate renewed', { certificateId: entry.id, keyId: successor.keyId });
    }
  }

  async #retireKey(entry: CertificateEntry, keyId: string, via: Via): Promise<void> {
    const { keys, log } = this.#options;
    try {
      await keys.deleteKey(keyId, via);
    } catch (error) {
      // only an administrator can delete it
      if (!isServiceError(error, 'NotSupported')) throw error;
      log.warn('key not deleted', { keyId, error: describeError(error) });
    }
    await this.#records.replace(entry, transitions.keyRetired(entry, keyId));
  }

  /** Records a failed attempt and when the next one is. */
  async #fail(
    entry: CertificateEntry,
    error: unknown,
    setback: Setback,
    retried = entry,
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
    const next = transitions.failed(retried, { now: at, delayMs, reason, isFinal });
    if (!(await this.#records.replace(entry, next))) return;
    const nextAttempt = isFinal ? 0 : at + delayMs;
    const fields = { certificateId: id, issuer: order.issuer, reason };
    if (isFinal)
      log.error('certificate not renewed, renewal is stuck', {
        ...fields,
        messageId: stuckMessageId,
      });
    else
      log.warn('certificate not renewed, will retry', {
        ...fields,
        nextAttempt: new Date(nextAttempt).toISOString(),
      });
    onFailure({ id, reason, nextAttempt });
  }
}

/** Identifies records about a renewal that is stuck, whatever their text. */
export const stuckMessageId = '6d1f0c6e7b0f4c7f9a5d0a9f3f4b8e21';

function circumstancesOf(
  { chain: [current] }: CertificateEntry,
  { attempts }: PendingOrder,
  now: number,
  random: number,
) {
  return { attempts, current, now, random };
}
