/** What a certificate that is issued here needs next: a function of its record, its rule and the time. */
import { type RenewalSetting, renewalTime } from '../../x509/renewal-time.ts';
import type { Validity } from '../../x509/validity.ts';
import type { EnrolmentRecord, Former, KeyedChain, PendingOrder } from './enrolment.ts';

/** The rule of a certificate, as far as steps depend on it. */
export interface RenewalRule {
  /** Whether the service issues certificates by this rule. */
  readonly isIssued: boolean;
  readonly renewal: RenewalSetting;
  /** A digest of everything that orders depend on. */
  readonly settings: string;
}

/** What steps depend on besides the record and the rule. Times are milliseconds since the epoch. */
export interface Circumstances {
  readonly now: number;
  /** A clock before this time was never set. */
  readonly earliest: number;
  /** Keys that no longer exist, as far as that is known. */
  readonly lostKeys: ReadonlySet<string>;
}

/** The next step. */
export type Step =
  /** Persist an order, or replace one that cannot go on. */
  | { readonly kind: 'order' }
  /** Make the key of the order, and the CSR or its template. */
  | { readonly kind: 'make key' }
  | { readonly kind: 'submit' }
  /** Submit again what is pending. */
  | { readonly kind: 'poll' }
  /** Make the issued certificate the current one. */
  | { readonly kind: 'commit' }
  /** Make a former certificate the current one again: the clock was set back, or the key was lost. */
  | { readonly kind: 'restore'; readonly former: Former }
  /** Drop an issued certificate that was never current and cannot be used any more. */
  | { readonly kind: 'discard' }
  /** Drop an order that no rule asks for any more. */
  | { readonly kind: 'abandon' }
  /** Drop former certificates whose grace period has ended. */
  | { readonly kind: 'end grace' }
  | { readonly kind: 'retire key'; readonly keyId: string }
  | {
      readonly kind: 'wait';
      /** Undefined: until something other than time changes. */
      readonly until: number | undefined;
      /** Why nothing is renewed although it may be due. */
      readonly reason?: string | undefined;
    };

/** How long a former certificate and its key can still be used. */
export const graceMs = 24 * 3_600_000;
const skewMs = 60_000;
/** Clocks of issuers may be ahead by so much. */
const aheadMs = 600_000;
const never = Number.POSITIVE_INFINITY;

/** The next step for a certificate. */
export function nextStep(
  record: EnrolmentRecord,
  rule: RenewalRule,
  circumstances: Circumstances,
): Step {
  const { enrolment } = record;
  if (enrolment === undefined) return { kind: 'wait', until: undefined };
  const step = enrolment.isDeleted
    ? undefined
    : (swapOf(record, circumstances) ?? orderStepOf(record, rule, circumstances));
  // keys that are left over do not pile up
  const mayWait = step === undefined || step.kind === 'wait' || step.kind === 'order';
  if (!mayWait) return step;
  const { now, earliest } = circumstances;
  // by a clock that was never set nothing is deleted
  if (now < earliest && !enrolment.isDeleted) {
    return step?.kind === 'wait' ? step : { kind: 'wait', until: earliest };
  }
  if (enrolment.previous.some((former) => !isInGrace(former, now))) return { kind: 'end grace' };
  const keyId = unusedKeyOf(record);
  if (keyId !== undefined) return { kind: 'retire key', keyId };
  if (step?.kind === 'order') return step;
  const ends = enrolment.previous.map(({ until }) => until);
  const until = Math.min(step?.until ?? never, ...ends);
  return { kind: 'wait', until: until === never ? undefined : until, reason: step?.reason };
}

/** Whether the certificate can be used now, as far as that is known. */
export function isUsable(
  { chain: [certificate], keyId }: KeyedChain,
  { now, lostKeys }: Circumstances,
): boolean {
  if (certificate === undefined || lostKeys.has(keyId)) return false;
  return certificate.notBefore.getTime() <= now && now <= certificate.notAfter.getTime();
}

/** Whether a former certificate is in its grace period, which a clock that was set back does not prolong. */
function isInGrace({ until }: Former, now: number): boolean {
  return now < until && until - now <= graceMs + skewMs;
}

/**
 * When a certificate is renewed, in milliseconds since the epoch: as the setting says, but not before half of the life
 * that it had left when it became current, as issuers date certificates back.
 */
export function renewalDue(
  certificate: Validity & { readonly fingerprint: string },
  renewal: RenewalSetting,
  { since, now }: { readonly since: number; readonly now: number },
): number {
  const due = renewalTime(certificate, renewal).getTime();
  const end = certificate.notAfter.getTime();
  // a clock that was set back does not prolong it
  return since > now || since >= end ? due : Math.max(due, (since + end) / 2);
}

/** Changes which certificate is current. */
function swapOf(record: EnrolmentRecord, circumstances: Circumstances): Step | undefined {
  const { enrolment } = record;
  const { now, earliest, lostKeys } = circumstances;
  const { successor, previous = [] } = enrolment ?? {};
  if (successor !== undefined) {
    const [issued] = successor.chain;
    const isOver = (issued?.notAfter.getTime() ?? 0) < now;
    if (isOver || lostKeys.has(successor.keyId)) return { kind: 'discard' };
    if (isUsable(successor, circumstances)) return { kind: 'commit' };
  }
  if (now < earliest || !isUnusable(record, circumstances)) return undefined;
  const former = previous.find((one) => isUsable(one, circumstances));
  return former && { kind: 'restore', former };
}

/** Whether the current certificate cannot be used before it is replaced or the clock changes. */
function isUnusable(
  { chain: [current], keyId }: EnrolmentRecord,
  { now, lostKeys }: Circumstances,
): boolean {
  return current !== undefined && (lostKeys.has(keyId) || now < current.notBefore.getTime());
}

function orderStepOf(
  record: EnrolmentRecord,
  rule: RenewalRule,
  circumstances: Circumstances,
): Step | undefined {
  const { enrolment } = record;
  const { now, earliest, lostKeys } = circumstances;
  const order = enrolment?.order;
  if (order !== undefined) {
    if (!rule.isIssued) return { kind: 'abandon' };
    // settings that did not change cannot make it succeed
    if (order.settings !== rule.settings) return { kind: 'order' };
    if (order.isStuck && order.nextAttempt === 0) return { kind: 'wait', until: undefined };
    if (isSuperfluous(order, record, rule, circumstances)) return { kind: 'abandon' };
    if (now < earliest) return { kind: 'wait', until: earliest, reason: unsetClock(now) };
    const due = dueOf(order, now);
    if (now < due) return { kind: 'wait', until: due };
    const hasRequest = (order.template ?? order.csr) !== undefined && order.spki !== undefined;
    const isLost = hasRequest && lostKeys.has(order.keyId);
    if (!hasRequest || isLost) return { kind: isLost ? 'order' : 'make key' };
    return { kind: order.cookie === undefined ? 'submit' : 'poll' };
  }
  if (!rule.isIssued || enrolment?.method === 'none') return undefined;
  return renewalStepOf(record, rule, circumstances);
}

/** Whether a renewal was begun by a clock that was ahead, or by a rule that has changed, and is not due any more. */
function isSuperfluous(
  { isRequested }: PendingOrder,
  { chain: [current], keyId, enrolment }: EnrolmentRecord,
  { renewal }: RenewalRule,
  { now, earliest, lostKeys }: Circumstances,
): boolean {
  if (current === undefined || isRequested) return false;
  if (now < earliest || lostKeys.has(keyId) || now < current.notBefore.getTime()) return false;
  const due = renewalDue(current, renewal, { since: enrolment?.since ?? 0, now });
  return now < due - skewMs;
}

/** A clock that was set back by more than small corrections does not prolong a delay. */
function dueOf({ nextAttempt, since }: PendingOrder, now: number): number {
  return now < since - skewMs ? now : nextAttempt;
}

function renewalStepOf(
  { chain: [current], keyId, enrolment }: EnrolmentRecord,
  { renewal }: RenewalRule,
  { now, earliest, lostKeys }: Circumstances,
): Step | undefined {
  const { successor, since = 0 } = enrolment ?? {};
  const begins = successor?.chain[0]?.notBefore.getTime();
  if (current === undefined) {
    // the first certificate is ordered by a call
    return begins === undefined ? undefined : waitForValidity(begins, now);
  }
  const starts = current.notBefore.getTime();
  const hasGap = begins !== undefined && begins > current.notAfter.getTime();
  if (begins !== undefined && !(hasGap && successor?.wasCurrent === true)) {
    return waitForValidity(begins, now);
  }
  if (now < earliest) return { kind: 'wait', until: earliest, reason: unsetClock(now) };
  if (now < starts) {
    const reason = `the clock is at ${dayOf(now)}, before the certificate becomes valid`;
    return { kind: 'wait', until: starts, reason };
  }
  const due = lostKeys.has(keyId) ? now : renewalDue(current, renewal, { since, now });
  return now < due ? { kind: 'wait', until: due } : { kind: 'order' };
}

/** Waits until an issued certificate becomes valid. */
function waitForValidity(begins: number, now: number): Step {
  if (begins - now <= aheadMs) return { kind: 'wait', until: begins };
  const at = new Date(begins).toISOString();
  return {
    kind: 'wait',
    until: begins,
    reason: `the clock is behind: the issued certificate becomes valid at ${at}`,
  };
}

function unsetClock(now: number): string {
  return `the clock is at ${dayOf(now)} and was never set: nothing is renewed`;
}

/** Without the time of day: a reason that changed with every reading would be a signal each time. */
function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** A key that was made for the certificate and that nothing refers to any more. */
function unusedKeyOf({ keyId: current, enrolment }: EnrolmentRecord): string | undefined {
  const { ownKeys = [], order, successor, previous = [], isDeleted = false } = enrolment ?? {};
  if (isDeleted) return ownKeys[0];
  const former = previous.map(({ keyId }) => keyId);
  const used = new Set([current, order?.keyId, successor?.keyId, ...former]);
  return ownKeys.find((keyId) => !used.has(keyId));
}
