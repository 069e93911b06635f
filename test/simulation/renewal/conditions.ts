/** What is wrong on a device, and when; times are milliseconds since the epoch. */

/** A time during which something holds, its end not included. */
export interface Period {
  readonly from: number;
  readonly to: number;
}

/** A time during which the clock of a device is wrong. */
export interface ClockStep extends Period {
  readonly byMs: number;
}

/** The history of one device. */
export interface Conditions {
  /** The issuer cannot be reached. */
  readonly outages: readonly Period[];
  /** The issuer answers that it has not decided. */
  readonly undecided: readonly Period[];
  readonly clock: readonly ClockStep[];
  /** The lives of the certificates of its CA, in order: each is used from its beginning until that of the next. */
  readonly authorities: readonly Period[];
}

const isIn =
  (time: number) =>
  ({ from, to }: Period): boolean =>
    from <= time && time < to;

/** Whether the issuer is reached at a time. */
export function isReachable({ outages }: Conditions, time: number): boolean {
  return !outages.some(isIn(time));
}

/** Whether the issuer decides at a time. */
export function isDecided({ undecided }: Conditions, time: number): boolean {
  return !undecided.some(isIn(time));
}

/** How much the clock of the device is ahead at a time. */
export function clockError({ clock }: Conditions, time: number): number {
  return clock.find(isIn(time))?.byMs ?? 0;
}

/** The life of the certificate of the CA that issues at a time, which may have ended. */
export function authorityAt({ authorities }: Conditions, time: number): Period | undefined {
  return authorities.findLast(({ from }) => from <= time);
}

/** Whether at a time a certificate can be renewed by one that lives longer. */
export function isRenewable(conditions: Conditions, time: number, notAfter: number): boolean {
  const { to = 0 } = authorityAt(conditions, time) ?? {};
  return (
    isReachable(conditions, time) &&
    isDecided(conditions, time) &&
    clockError(conditions, time) === 0 &&
    time < to &&
    to - notAfter > 1000 // certificates state whole seconds
  );
}

/** The times at which something changes, in order. */
export function changesOf(conditions: Conditions): readonly number[] {
  const { outages, undecided, clock, authorities } = conditions;
  return [...outages, ...undecided, ...clock, ...authorities]
    .flatMap(({ from, to }) => [from, to])
    .toSorted((a, b) => a - b);
}
