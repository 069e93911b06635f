/**
 * The record of a certificate that is issued here, besides its chain and its key. It is one file, so every transition is
 * one rename:
 *
 *   order ─► make key ─► submit ─► successor ─► commit ─► the former one is in `previous` for a grace period,
 *     ▲          ▲          │                            each of them until its own time
 *     │          │          ├─ pending, unreachable, refused ─► submitted again at `nextAttempt`
 *     │          ├─ key lost┤
 *     │          └─ rekeyed ┤ (once, when the issuer wants another key)
 *     └── other settings ───┴─ refused for good ─► stuck
 *
 * Keys that were made for it are in `ownKeys` from before they exist until they are deleted: one that nothing refers to
 * is retired.
 */
import type { KeyAlgorithm } from '../../x509/algorithm.ts';
import type { Certificate } from '../../x509/certificate.ts';
import type { Method, Profile } from '../config/certificate-rule.ts';

/** A certificate with its issuers, and its key. */
export interface KeyedChain {
  /** Leaf first. */
  readonly chain: readonly Certificate[];
  readonly keyId: string;
}

/** What a certificate is issued by and for. */
export interface Issuance {
  /** `none` for a certificate that was imported. */
  readonly method: Method;
  /** Undefined for a certificate that was imported. */
  readonly profile: Profile | undefined;
  /** The id of the CA certificate, or the name of the issuer; `` without one. */
  readonly issuer: string;
  /** A digest of the names in its rule when it was ordered: a CA may have issued others. */
  readonly names?: string | undefined;
}

/** An issued certificate that becomes current when it becomes valid. */
export interface Successor extends KeyedChain, Issuance {
  /** Whether it was current before a step of the clock. */
  readonly wasCurrent: boolean;
}

/** A former certificate in its grace period. Times are milliseconds since the epoch. */
export interface Former extends KeyedChain, Issuance {
  /** The end of its grace period, which began when its successor became current. */
  readonly until: number;
}

/** A certificate that is to be issued, as far as it got. */
export interface PendingOrder extends Issuance {
  readonly profile: Profile;
  readonly keyId: string;
  /** The algorithms that its issuer wants for its key, before those of the rule. */
  readonly keyAlgorithms: readonly KeyAlgorithm[];
  /** PKCS#10 in DER; undefined until its key exists, and where there is a template. */
  readonly csr: Buffer | undefined;
  /** What the issuer signs when it sends it, as a CertificationRequestInfo in DER: names, key and extensions. */
  readonly template: Buffer | undefined;
  /** The key in DER; undefined until it exists. */
  readonly spki: Buffer | undefined;
  /** Of the last answer that it is pending. */
  readonly cookie: string | undefined;
  /** How often it was submitted without an end. */
  readonly attempts: number;
  /** When `nextAttempt` was set: a clock before that time was set back. */
  readonly since: number;
  /** 0 when there is none: it is stuck. */
  readonly nextAttempt: number;
  /** Why the last attempt did not succeed, `` before the first. */
  readonly reason: string;
  /** Whether it cannot succeed before something else changes. */
  readonly isStuck: boolean;
  /** Whether a caller asked for it: then it need not live longer than the certificate that it replaces. */
  readonly isRequested: boolean;
  /** Whether its key was made because the issuer wanted another one than the order had. */
  readonly isRekeyed: boolean;
  /** A digest of the chain of its issuer at the last attempt; undefined or `` when the issuer is no CA of this device. */
  readonly issuerChain?: string | undefined;
  /** Of the settings that it was made for. */
  readonly settings: string;
}

/** The state of a certificate that is issued here, and the issuance of the current one, else of the first order. */
export interface Enrolment extends Issuance {
  /** When the current certificate became current, in milliseconds since the epoch; 0 when not known. */
  readonly since: number;
  readonly order: PendingOrder | undefined;
  readonly successor: Successor | undefined;
  /** Those that were current before, newest first, each until the end of its own grace period: at most `maxFormer`. */
  readonly previous: readonly Former[];
  readonly ownKeys: readonly string[];
  /** Whether the certificate is deleted, and only keys are left to be deleted. */
  readonly isDeleted: boolean;
}

/** The record of a certificate; the chain is empty until the first one is current. */
export interface EnrolmentRecord extends KeyedChain {
  readonly enrolment?: Enrolment | undefined;
}

/** Whether the key of an order is made for it, rather than used before. */
export function isKeyMade({ keyId, enrolment }: EnrolmentRecord): boolean {
  const { order, ownKeys = [] } = enrolment ?? {};
  return order !== undefined && order.keyId !== keyId && ownKeys.includes(order.keyId);
}

/** Whether a record still has an order, although it may be due at another time. */
export function isSameOrder<R extends EnrolmentRecord>(
  record: R | undefined,
  { keyId, settings }: PendingOrder,
): record is R {
  const order = record?.enrolment?.order;
  return order?.keyId === keyId && order.settings === settings;
}

/** The issuance of a certificate that was imported. */
export const imported: Issuance = { method: 'none', profile: undefined, issuer: '' };
