import type { Via } from '../../dbus/client/via.ts';
import { unrotated } from '../../glob.ts';
import type { KeyAlgorithm } from '../../x509/algorithm.ts';
import type { CertificateEntry } from '../certificate-entry.ts';
import type { OrderKeys } from '../keys/keys-client.ts';
import type { PendingOrder } from './enrolment.ts';
import { digestOfNames } from './make-request.ts';
import type { OrderRule } from './order-rule.ts';
import { ordered } from './transitions.ts';

/** What an order is made from besides the record. */
export interface NewOrder {
  readonly rule: OrderRule;
  /** Undefined: as the rule says. */
  readonly isNewKey: boolean | undefined;
  /** Whether a caller asked for it. */
  readonly isRequested: boolean;
  /** Whether the issuer wants another key than the order had. */
  readonly isRekeyed?: boolean;
  /** The algorithms that the issuer wants for that key. */
  readonly keyAlgorithms?: readonly KeyAlgorithm[] | undefined;
  readonly lostKeys: ReadonlySet<string>;
  readonly now: Date;
}

/** The record with a new order, whose key is chosen. */
export async function withNewOrder(
  entry: CertificateEntry,
  { rule, isNewKey, isRequested, isRekeyed = false, keyAlgorithms, lostKeys, now: date }: NewOrder,
  { keys, via }: { readonly keys: Pick<OrderKeys, 'publicKey'>; readonly via: Via },
): Promise<CertificateEntry> {
  const { method, issuer, profile, settings } = rule;
  const now = date.getTime();
  const isMade = isNewKey ?? needsNewKey(entry, rule, lostKeys);
  const before = entry.enrolment?.order;
  const { attempts = 0, reason = '' } = before ?? {};
  const isRepeated = before?.settings === settings;
  const order: PendingOrder = {
    method,
    issuer,
    profile,
    names: digestOfNames(rule),
    keyId: isMade
      ? await freeKeyId(entry, rule, (id) => keys.publicKey(id, via))
      : entry.keyId || rule.keyId,
    keyAlgorithms: keyAlgorithms ?? (isRepeated ? before.keyAlgorithms : []),
    csr: undefined,
    template: undefined,
    spki: undefined,
    cookie: undefined,
    attempts,
    since: now,
    nextAttempt: now,
    reason,
    isStuck: false,
    isRequested,
    isRekeyed: isRekeyed || (isRepeated && before.isRekeyed),
    settings,
  };
  return ordered(entry, order, { isNewKey: isMade });
}

function needsNewKey(
  { keyId, enrolment }: CertificateEntry,
  rule: OrderRule,
  lostKeys: ReadonlySet<string>,
): boolean {
  if (rule.isKeyConfigured && (rule.keyPolicy === 'reuse' || keyId === '')) return false;
  if (keyId === '' || rule.keyPolicy === 'rotate') return true;
  // a key that is lost, or that came with an imported certificate, is not certified again
  return lostKeys.has(keyId) || (enrolment?.method ?? 'none') === 'none';
}

/** The first id of the certificate's keys that no key has. */
async function freeKeyId(
  { enrolment, keyId }: CertificateEntry,
  rule: OrderRule,
  publicKey: (id: string) => Promise<Buffer | undefined>,
): Promise<string> {
  const base = unrotated(rule.keyId);
  const used = new Set([...(enrolment?.ownKeys ?? []), keyId]);
  for (let n = rule.isKeyConfigured ? 2 : 1; ; n++) {
    const candidate = n === 1 ? base : `${base}@${n}`;
    if (!used.has(candidate) && (await publicKey(candidate)) === undefined) return candidate;
  }
}
