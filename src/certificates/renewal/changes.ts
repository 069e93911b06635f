/** What calls leave of the record of a certificate that is issued here. */
import type { CertificateId } from '../../ids.ts';
import type { Certificate } from '../../x509/certificate.ts';
import type { CertificateEntry } from '../certificate-entry.ts';
import { type Enrolment, type Former, imported } from './enrolment.ts';
import { graceMs } from './next-step.ts';

/**
 * The record of an imported certificate in place of another one. That and its key can still be used for a while; those
 * before it are dropped. A key that the imported certificate is for stays, also a former one.
 */
export function importedOver(
  before: CertificateEntry | undefined,
  {
    id,
    chain,
    keyId,
  }: { readonly id: CertificateId; readonly chain: readonly Certificate[]; readonly keyId: string },
  now: Date,
): CertificateEntry {
  const entry = { id, chain, keyId, preloaded: false };
  const { enrolment } = before ?? {};
  if (before === undefined || enrolment === undefined || before.damage !== undefined) return entry;
  const { method, profile, issuer, ownKeys } = enrolment;
  const until = now.getTime() + graceMs;
  const former: readonly Former[] =
    before.chain.length === 0
      ? []
      : [{ chain: before.chain, keyId: before.keyId, method, profile, issuer, until }];
  const known = keyId === '' ? ownKeyOf(before, enrolment, chain[0]) : keyId;
  return {
    ...entry,
    keyId: known,
    enrolment: {
      ...imported,
      since: 0,
      order: undefined,
      successor: undefined,
      previous: former,
      ownKeys,
      isDeleted: false,
    },
  };
}

/** The record of a deleted certificate. */
export function withoutCertificate(
  entry: CertificateEntry,
  enrolment: Enrolment,
): CertificateEntry {
  const nothing = { order: undefined, successor: undefined, previous: [], isDeleted: true };
  return { ...entry, chain: [], keyId: '', enrolment: { ...enrolment, ...nothing } };
}

/** The key of the record that a certificate is for, `` when it is for another one. */
function ownKeyOf(
  { chain, keyId }: CertificateEntry,
  { order, successor, previous }: Enrolment,
  certificate: Certificate | undefined,
): string {
  const keys = [
    { keyId, spki: chain[0]?.spki },
    { keyId: order?.keyId ?? '', spki: order?.spki },
    { keyId: successor?.keyId ?? '', spki: successor?.chain[0]?.spki },
    ...previous.map((former) => ({ keyId: former.keyId, spki: former.chain[0]?.spki })),
  ];
  const found = keys.find(({ spki }) => spki !== undefined && certificate?.spki.equals(spki));
  return found?.keyId ?? '';
}
