/** Carries out the steps of enrolments and renewals: each is an effect, and then one change of the record. */
import type { Via } from '../../dbus/client/via.ts';
import { describeError, isServiceError, ServiceError } from '../../errors.ts';
import type { CertificateId } from '../../ids.ts';
import { earliestClock } from '../../service/machine.ts';
import type { CertificateEntry } from '../certificate-entry.ts';
import { Attempts, type AttemptsOptions, type Rekey } from './attempts.ts';
import { isKeyMade, isSameOrder, type PendingOrder } from './enrolment.ts';
import { LostKeys } from './lost-keys.ts';
import { makeRequest } from './make-request.ts';
import { type NewOrder, withNewOrder } from './new-order.ts';
import { nextStep, type Step } from './next-step.ts';
import type { OrderRule } from './order-rule.ts';
import * as transitions from './transitions.ts';

/** An order for a call. */
export interface AskedOrder {
  readonly rule: OrderRule;
  /** Undefined: as the rule says. */
  readonly isNewKey: boolean | undefined;
}

/** Each try but the first follows another change of the record, of which an operation has fewer. */
const maxTries = 20;
const notIssued = { isIssued: false, renewal: { afterShare: 1 }, settings: '' };

/** Carries out one step at a time; a record that changes meanwhile is read again. */
export class Executor {
  readonly #options: AttemptsOptions;
  readonly #records: AttemptsOptions['records'];
  readonly #lostKeys = new LostKeys();
  readonly #attempts: Attempts;

  constructor(options: AttemptsOptions) {
    this.#options = options;
    this.#records = options.records;
    this.#attempts = new Attempts(options);
  }

  /** The next step of a record. */
  stepOf(entry: CertificateEntry, at = this.#options.now()): Step {
    const { issuing } = this.#options;
    const lostKeys = this.#lostKeys.ids;
    const circumstances = { now: at.getTime(), earliest: earliestClock.getTime(), lostKeys };
    return nextStep(entry, issuing().ruleOf(entry) ?? notIssued, circumstances);
  }

  /** Why nothing is renewed although it may be due, as with a clock that was never set; `` when there is no reason. */
  waitReason(entry: CertificateEntry, at: Date): string {
    if (entry.enrolment === undefined) return '';
    const step = this.stepOf(entry, at);
    return step.kind === 'wait' ? (step.reason ?? '') : '';
  }

  /** Why the last attempt for a certificate failed. */
  failureOf(id: CertificateId): ServiceError | undefined {
    return this.#attempts.failureOf(id);
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

  /**
   * Persists an order for a call; one in progress is submitted at once. When another operation changes the record while
   * the key is chosen, `asked` is evaluated again: it returns undefined when the certificate has been issued meanwhile.
   */
  async order(id: CertificateId, asked: () => AskedOrder | undefined, via: Via): Promise<void> {
    for (let tries = 0; tries < maxTries; tries++) {
      const before = this.#records.get(id);
      const wanted = asked();
      if (wanted === undefined) return;
      const next = await this.#orderedBy(wanted, before ?? emptyEntry(id), via);
      if (await this.#records.replace(before, next)) return;
      via.signal.throwIfAborted();
    }
    throw new ServiceError('Unavailable', `the certificate "${id}" is being changed`);
  }

  /** The record with the order of a call: that in progress when it suits the call, else a new one. */
  async #orderedBy(
    { rule, isNewKey }: AskedOrder,
    entry: CertificateEntry,
    via: Via,
  ): Promise<CertificateEntry> {
    if (entry.enrolment?.order?.settings === rule.settings && isKeySuitable(entry, isNewKey)) {
      return transitions.requested(entry, this.#options.now().getTime());
    }
    return this.#ordered(entry, { rule, isNewKey, isRequested: true }, via);
  }

  /** Whether a certificate was issued for an id since the last call of `forgetIssued`. */
  hasIssued(id: CertificateId): boolean {
    return this.#attempts.hasIssued(id);
  }

  forgetIssued(id: CertificateId): void {
    this.#attempts.forgetIssued(id);
  }

  /** Makes the order of a certificate due if it is meant; returns whether it was. */
  async hasten(id: CertificateId, isMeant: (entry: CertificateEntry) => boolean): Promise<boolean> {
    // most certificates have none
    if (this.#records.get(id)?.enrolment?.order === undefined) return false;
    return this.#records.change(id, (entry) => {
      if (entry === undefined || !isMeant(entry)) return undefined;
      const issuerChain = this.#attempts.issuerChainOf(entry);
      return transitions.hastened(entry, this.#options.now().getTime(), issuerChain);
    });
  }

  /** Whether the last attempt was with another certificate of its CA. */
  hasOtherIssuer(entry: CertificateEntry): boolean {
    const issuerChain = this.#attempts.issuerChainOf(entry);
    return issuerChain !== '' && issuerChain !== entry.enrolment?.order?.issuerChain;
  }

  /** Drops the order of a certificate; without a certificate nothing is left but keys to be deleted. */
  async drop(id: CertificateId): Promise<void> {
    await this.#records.change(id, (entry) =>
      entry?.enrolment?.order === undefined ? undefined : transitions.abandoned(entry),
    );
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
      await this.#attempts.fail(entry, error, { kind: 'unreachable' });
    }
  }

  /** The record with a new order. */
  #ordered(
    entry: CertificateEntry,
    asked: Pick<NewOrder, 'rule' | 'isNewKey' | 'isRequested' | 'isRekeyed' | 'keyAlgorithms'>,
    via: Via,
  ): Promise<CertificateEntry> {
    const { keys, now } = this.#options;
    const order = { ...asked, lostKeys: this.#lostKeys.ids, now: now() };
    return withNewOrder(entry, order, { keys, via });
  }

  async #makeKey(entry: CertificateEntry, via: Via): Promise<void> {
    const { keys, issuing } = this.#options;
    const { order } = entry.enrolment ?? {};
    const rule = issuing().ruleOf(entry);
    if (order === undefined || rule === undefined) return;
    const { keyId } = order;
    const wanted = await this.#attempts.wantedKeys({ entry, order, rule }, via);
    if (wanted === undefined) return;
    try {
      const asked = { keyId, isMade: isKeyMade(entry), wanted, renewed: entry };
      const made = await makeRequest(rule, asked, { keys, via });
      this.#lostKeys.note(keyId, 'matches');
      await this.#records.change(entry.id, (current) =>
        isSameOrder(current, order)
          ? transitions.keyMade(current, { ...made, keyAlgorithms: wanted })
          : undefined,
      );
    } catch (error) {
      if (via.signal.aborted) throw error;
      await this.#attempts.fail(entry, error, { kind: 'unreachable' });
    }
  }

  async #submit(entry: CertificateEntry, via: Via): Promise<void> {
    const { order } = entry.enrolment ?? {};
    const { spki } = order ?? {};
    const request = order?.template ?? order?.csr;
    if (order === undefined || request === undefined || spki === undefined) return;
    try {
      if (await this.#lostKeys.check(order.keyId, spki, { keys: this.#options.keys, via })) {
        await this.#replaceKey(entry, order, via);
        return;
      }
    } catch (error) {
      if (via.signal.aborted) throw error;
      await this.#attempts.fail(entry, error, { kind: 'unreachable' });
      return;
    }
    const answer = await this.#attempts.submit({ entry, order, request, spki }, via);
    if (answer !== undefined) await this.#rekey(entry, { order, answer }, via);
  }

  /** Orders with another key because the issuer wants one: once, or keys would be made without an end. */
  async #rekey(
    entry: CertificateEntry,
    { order, answer }: { readonly order: PendingOrder; readonly answer: Rekey },
    via: Via,
  ): Promise<void> {
    const { reason, algorithms: keyAlgorithms } = answer;
    const rule = this.#options.issuing().ruleOf(entry);
    if (rule === undefined) return;
    if (order.isRekeyed) {
      const text = `the issuer wants yet another key for the certificate "${entry.id}": ${reason}`;
      const failure = new ServiceError('NotSupported', text);
      await this.#attempts.fail(entry, failure, { kind: 'unreachable' });
      return;
    }
    this.#options.log.info('another key wanted', { certificateId: entry.id, reason });
    const { isRequested } = order;
    const asked = { rule, isNewKey: true, isRequested, isRekeyed: true, keyAlgorithms };
    try {
      await this.#records.replace(entry, await this.#ordered(entry, asked, via));
    } catch (error) {
      if (via.signal.aborted) throw error;
      await this.#attempts.fail(entry, error, { kind: 'unreachable' });
    }
  }

  /** Orders with another key in place of one that was lost, though not at once: it may be lost again. */
  async #replaceKey(entry: CertificateEntry, order: PendingOrder, via: Via): Promise<void> {
    const rule = this.#options.issuing().ruleOf(entry);
    if (rule === undefined) return;
    const { isRequested, keyId } = order;
    const next = await this.#ordered(entry, { rule, isNewKey: undefined, isRequested }, via);
    const lost = new ServiceError('Unavailable', `the key "${keyId}" was lost`);
    await this.#attempts.fail(entry, lost, { kind: 'unreachable' }, { retried: next });
  }

  async #commit(entry: CertificateEntry, via: Via): Promise<void> {
    const { keys, now, log } = this.#options;
    const { successor } = entry.enrolment ?? {};
    const [certificate] = successor?.chain ?? [];
    if (successor === undefined || certificate === undefined) return;
    // then it is discarded
    if (await this.#lostKeys.check(successor.keyId, certificate.spki, { keys, via })) return;
    const time = now().getTime();
    const next = transitions.committed(entry, time);
    if (!(await this.#records.replace(entry, next))) return;
    log.info('certificate renewed', { certificateId: entry.id, keyId: successor.keyId });
    for (const keyId of transitions.keysDropped(entry, next, time)) {
      log.warn('former key retired early', { certificateId: entry.id, keyId });
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
}

/** Whether the key of an order is what a call asks for; the issuer may have wanted another one. */
function isKeySuitable(entry: CertificateEntry, isNewKey: boolean | undefined): boolean {
  if (isNewKey === undefined || entry.enrolment?.order?.isRekeyed === true) return true;
  return isNewKey === isKeyMade(entry) || (!isNewKey && entry.keyId === '');
}

function emptyEntry(id: CertificateId): CertificateEntry {
  return { id, chain: [], keyId: '', preloaded: false };
}
