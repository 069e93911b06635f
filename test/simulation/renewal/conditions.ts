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

/** Whether a certificate can be renewed at a time. */
export function isGood(conditions: Conditions, time: number): boolean {
  return (
    isReachable(conditions, time) &&
    isDecided(conditions, time) &&
    clockError(conditions, time) === 0
  );
}

/** The times at which something changes, in order. */
export function changesOf({ outages, undecided, clock }: Conditions): readonly number[] {
  return [...outages, ...undecided, ...clock]
    .flatMap(({ from, to }) => [from, to])
    .toSorted((a, b) => a - b);
}
