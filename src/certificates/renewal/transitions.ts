/** The changes of the record of a certificate that is issued here. Each is persisted by one rename. */
import {
  type Enrolment,
  type EnrolmentRecord,
  type Former,
  type Issuance,
  imported,
  type KeyedChain,
  type PendingOrder,
} from './enrolment.ts';
import { graceMs } from './next-step.ts';

/**
 * More former certificates than this are not kept, however often one is renewed in a grace period: each may have a key
 * of its own, of which a TPM or a token holds few, and all are in the record, which is written as a whole at each step.
 * A renewal beyond it drops the oldest early. As many former versions of published files are kept.
 */
export const maxFormer = 8;

/** When and why an order is submitted again. */
export interface Retry {
  readonly now: number;
  readonly delayMs: number;
  readonly reason: string;
}

/** The key of an order, and what is requested for it. */
export type MadeRequest = Pick<PendingOrder, 'csr' | 'template'> & {
  readonly spki: Buffer;
  readonly keyAlgorithms?: PendingOrder['keyAlgorithms'];
};

/** A record with an order; its key is noted before it exists. */
export function ordered<R extends EnrolmentRecord>(
  record: R,
  order: PendingOrder,
  { isNewKey }: { readonly isNewKey: boolean },
): R & { readonly enrolment: Enrolment } {
  const enrolment = enrolmentOf(record, order);
  const { ownKeys } = enrolment;
  const all = isNewKey && !ownKeys.includes(order.keyId) ? [...ownKeys, order.keyId] : ownKeys;
  return { ...record, enrolment: { ...enrolment, order, ownKeys: all } };
}

/** The order has a key, and a CSR or the template of one. */
export function keyMade<R extends EnrolmentRecord>(
  record: R,
  { csr, template, spki, keyAlgorithms }: MadeRequest,
): R {
  return withOrder(record, (order) => {
    return { ...order, csr, template, spki, keyAlgorithms: keyAlgorithms ?? order.keyAlgorithms };
  });
}

/** The issuer has not decided: the same order is submitted with its cookie. */
export function pending<R extends EnrolmentRecord>(record: R, cookie: string, retry: Retry): R {
  return withOrder(record, (order) => ({ ...retried(order, retry), cookie }));
}

/** What is pending has been decided: a later attempt submits the order anew. */
export function decided<R extends EnrolmentRecord>(record: R): R {
  return withOrder(record, (order) => ({ ...order, cookie: undefined }));
}

/** An attempt did not succeed. */
export function failed<R extends EnrolmentRecord>(
  record: R,
  retry: Retry & {
    readonly isFinal: boolean;
    /** Whether the order is submitted again although it is stuck. */
    readonly isRepeated?: boolean;
    readonly issuerChain?: string;
  },
): R {
  return withOrder(record, (order) => ({
    ...retried(order, retry),
    ...(retry.isFinal && retry.isRepeated !== true && { nextAttempt: 0 }),
    issuerChain: retry.issuerChain,
    isStuck: retry.isFinal,
  }));
}

/** The order is submitted at once, although its last attempt was a failure. */
export function hastened<R extends EnrolmentRecord>(
  record: R,
  now: number,
  issuerChain?: string,
): R {
  return withOrder(record, (order) => ({
    ...order,
    issuerChain: issuerChain ?? order.issuerChain,
    isStuck: false,
    since: now,
    nextAttempt: now,
  }));
}

/** As `hastened`, for a caller. */
export function requested<R extends EnrolmentRecord>(record: R, now: number): R {
  return withOrder(hastened(record, now), (order) => ({ ...order, isRequested: true }));
}

/** The order has led to a certificate, which becomes current when it is valid. */
export function issued<R extends EnrolmentRecord>(record: R, chain: KeyedChain['chain']): R {
  const { order } = record.enrolment ?? {};
  if (order === undefined) return record;
  const { keyId } = order;
  const successor = { chain, keyId, ...issuanceOf(order), wasCurrent: false };
  return changed(record, { order: undefined, successor });
}

/**
 * The successor becomes the current certificate; the former one can still be used for a while, and those before it until
 * their own times, unless they have expired.
 */
export function committed<R extends EnrolmentRecord>(record: R, now: number, max = maxFormer): R {
  const { chain, keyId, enrolment } = record;
  const { successor } = enrolment ?? {};
  if (enrolment === undefined || successor === undefined) return record;
  const until = now + graceMs;
  const former = chain.length === 0 ? [] : [{ chain, keyId, ...issuanceOf(enrolment), until }];
  const kept = enrolment.previous.filter((one) => !isOver(one, now));
  return {
    ...record,
    chain: successor.chain,
    keyId: successor.keyId,
    enrolment: {
      ...enrolment,
      ...issuanceOf(successor),
      since: now,
      successor: undefined,
      previous: [...former, ...kept].slice(0, max),
    },
  };
}

/** The keys of valid certificates that a commit leaves to be deleted before their grace periods end: there are too many. */
export function keysDropped(
  { enrolment: before }: EnrolmentRecord,
  { keyId, enrolment: after }: EnrolmentRecord,
  now: number,
): readonly string[] {
  const kept = new Set([keyId, after?.order?.keyId, ...keyIdsOf(after?.previous)]);
  const valid = keyIdsOf(before?.previous.filter((one) => !isOver(one, now)));
  return before?.ownKeys.filter((one) => valid.includes(one) && !kept.has(one)) ?? [];
}

/** A former certificate becomes the current one again; that one follows when it is valid, unless its key was lost. */
export function restored<R extends EnrolmentRecord>(
  record: R,
  former: Former,
  { isKeyLost }: { readonly isKeyLost: boolean },
): R {
  const { chain, keyId, enrolment } = record;
  if (enrolment === undefined) return record;
  const present = { chain, keyId, ...issuanceOf(enrolment), wasCurrent: true };
  const successor = isKeyLost ? undefined : present;
  const previous = enrolment.previous.filter((one) => one !== former);
  return {
    ...record,
    chain: former.chain,
    keyId: former.keyId,
    enrolment: { ...enrolment, ...issuanceOf(former), since: 0, previous, successor },
  };
}

/** The successor is dropped. */
export function discarded<R extends EnrolmentRecord>(record: R): R {
  return changed(record, { successor: undefined });
}

/** The order is dropped. */
export function abandoned<R extends EnrolmentRecord>(record: R): R {
  return changed(record, { order: undefined });
}

/** A key is deleted. */
export function keyRetired<R extends EnrolmentRecord>(record: R, keyId: string): R {
  const { ownKeys = [] } = record.enrolment ?? {};
  return changed(record, { ownKeys: ownKeys.filter((one) => one !== keyId) });
}

/** The former certificates whose grace period has ended are dropped. */
export function graceEnded<R extends EnrolmentRecord>(record: R, now: number): R {
  const { previous = [] } = record.enrolment ?? {};
  const latest = now + graceMs;
  return changed(record, {
    previous: previous
      .filter(({ until }) => now < until)
      .map((former) => ({ ...former, until: Math.min(former.until, latest) })),
  });
}

function retried(order: PendingOrder, { now, delayMs, reason }: Retry): PendingOrder {
  const { attempts } = order;
  return {
    ...order,
    attempts: attempts + 1,
    since: now,
    nextAttempt: now + delayMs,
    reason,
    isStuck: false,
  };
}

function withOrder<R extends EnrolmentRecord>(
  record: R,
  change: (order: PendingOrder) => PendingOrder,
): R {
  const { order } = record.enrolment ?? {};
  return order === undefined ? record : changed(record, { order: change(order) });
}

function changed<R extends EnrolmentRecord>(record: R, change: Partial<Enrolment>): R {
  const { enrolment } = record;
  return enrolment === undefined ? record : { ...record, enrolment: { ...enrolment, ...change } };
}

function issuanceOf({ method, profile, issuer, names }: Issuance): Issuance {
  return { method, profile, issuer, names };
}

/** The state with which an order begins; until a first certificate is current it is issued as the order is. */
function enrolmentOf(record: EnrolmentRecord, order: PendingOrder): Enrolment {
  if (record.enrolment !== undefined && !record.enrolment.isDeleted) return record.enrolment;
  return {
    ...(record.chain.length === 0 ? issuanceOf(order) : imported),
    since: 0,
    order: undefined,
    successor: undefined,
    previous: [],
    ownKeys: record.enrolment?.ownKeys ?? [],
    isDeleted: false,
  };
}

function keyIdsOf(all: readonly KeyedChain[] = []): readonly string[] {
  return all.map(({ keyId }) => keyId);
}

function isOver({ chain: [certificate] }: KeyedChain, now: number): boolean {
  return certificate === undefined || certificate.notAfter.getTime() < now;
}
