import { describeError } from '../../../errors.ts';
import { type Certificate, isCa, isSelfSigned } from '../../../x509/certificate.ts';
import { pathOf, roomBelow } from '../../../x509/chain.ts';

/** A CA certificate with those above it. */
export type CaChain = readonly [Certificate, ...Certificate[]];

/** Who can issue the certificates of modules now. */
export type Verdict =
  /** The workload CA. */
  | { readonly kind: 'workload CA' }
  /** The device CA, which may issue a workload CA in place of the one that is missing, expired or of another CA. */
  | { readonly kind: 'workload CA needed' }
  /** The device CA alone. */
  | { readonly kind: 'device CA'; readonly reason: string };

/** The two CAs, as far as there are such certificates. */
export interface Cas {
  readonly workloadCa: CaChain | undefined;
  /** Whether the workload CA is issued by a CA of this device, so that it is replaced together with that. */
  readonly isLocal: boolean;
  readonly deviceCa: CaChain | undefined;
  readonly now: Date;
}

/** Judges whether the workload CA can issue, by the certificates alone. */
export function verdictOn({ workloadCa, isLocal, deviceCa, now }: Cas): Verdict {
  if (workloadCa === undefined) return withoutWorkloadCa(deviceCa);
  const [ca] = workloadCa;
  // what is not valid yet is no reason for another one: the clock may not be set
  if (now < ca.notBefore) return deviceCaAlone(`${ca.subjectText} is not valid yet`);
  const isGood = isCa(ca) && now < ca.notAfter;
  if (isLocal && deviceCa !== undefined) {
    return isGood && isBelow(workloadCa, deviceCa)
      ? { kind: 'workload CA' }
      : withoutWorkloadCa(deviceCa);
  }
  // one from elsewhere, and one without a device CA, has no other certificate to fit to
  return isGood
    ? { kind: 'workload CA' }
    : deviceCaAlone(`${ca.subjectText} has expired or is no CA`);
}

function withoutWorkloadCa(deviceCa: CaChain | undefined): Verdict {
  if (deviceCa === undefined) return deviceCaAlone('there is no device CA');
  const reason = whyNoCaBelow(deviceCa);
  return reason === '' ? { kind: 'workload CA needed' } : deviceCaAlone(reason);
}

function deviceCaAlone(reason: string): Verdict {
  return { kind: 'device CA', reason };
}

/** Whether these are the certificates above a CA: its chain is part of what it issues, also after they were replaced. */
function isBelow(workloadCa: CaChain, [deviceCa, ...above]: CaChain): boolean {
  const path = pathOf(deviceCa, above).filter((one, at) => at === 0 || !isSelfSigned(one));
  const known = new Set(workloadCa.map(({ fingerprint }) => fingerprint));
  return path.every(({ fingerprint }) => known.has(fingerprint));
}

/** Why there can be no CA below this one, `` when there can. */
function whyNoCaBelow([ca, ...above]: CaChain): string {
  try {
    const isRoom = roomBelow(pathOf(ca, above)) > 0;
    return isRoom ? '' : `the path length of ${ca.subjectText} allows no CA below it`;
  } catch (error) {
    return describeError(error);
  }
}
