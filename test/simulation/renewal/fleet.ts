import type { OrderRule } from '../../../src/certificates/renewal/order-rule.ts';
import {
  authorityAt,
  type ClockStep,
  type Conditions,
  changesOf,
  isRenewable,
  type Period,
} from './conditions.ts';
import { Device, type History, type Use } from './device.ts';

const hour = 3_600_000;
const day = 24 * hour;
const year = 365 * day;
/** Later than the clock that the service takes for unset. */
const from = Date.UTC(2030, 0, 1);
/** A device may need as long to see that conditions are good again. */
const slackMs = 600_000;
/** In which the load after an outage is counted; fewer devices have no meaningful mean. */
const buckets = 30;

/** Days after the beginning. */
interface Days {
  readonly day: number;
  readonly days: number;
}

/** What happens to a number of devices. */
export interface Plan {
  readonly rule: OrderRule;
  readonly devices: number;
  readonly years: number;
  /** Of all devices, or of a share of them. */
  readonly outages: readonly (Days & { readonly share?: number })[];
  /** Times in which the issuer does not decide. */
  readonly undecided: readonly Days[];
  /** The certificates of its CA, each used from its day until that of the next; without any, one for all years. */
  readonly authorities?: readonly Days[];
  /** How often the clock of each device is set wrong by ten years, for up to ten days. */
  readonly clockSteps: number;
  /** The days over which the devices are put into operation. */
  readonly spreadDays: number;
}

/** What came of it. */
export interface Outcome {
  readonly renewals: number;
  /** Certificates that live less long than their rule says, as their CA ends before. */
  readonly shortened: number;
  /** Certificates that live longer than their CA. */
  readonly outliving: number;
  readonly requests: number;
  /** Times at which a certificate expired although it could have been renewed before. */
  readonly avoidable: number;
  /** Days without a valid certificate, in which it could not be renewed. */
  readonly unavoidableDays: number;
  /** The longest time in which a device had no valid certificate although it could have got one, in hours. */
  readonly slowestReturnHours: number;
  /** The earliest replacement of a certificate, as a share of its life. */
  readonly earliestRenewal: number;
  /** Requests that came in less than a minute after the last one, or than the issuer had asked for. */
  readonly early: number;
  /** After each outage: the highest load divided by the mean, until all devices are back; undefined for too few. */
  readonly peaks: readonly (number | undefined)[];
  /** Keys at the end, at most on one device. */
  readonly keys: number;
}

/** Random numbers from 0 to 1 that are the same in every run; mulberry32. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A device, what happened to it, and what came of it. */
interface Run {
  readonly conditions: Conditions;
  readonly history: History;
}

/** Runs all devices of a plan. */
export async function simulate(plan: Plan, seed = 1): Promise<Outcome> {
  const to = from + plan.years * year;
  const random = randomFrom(seed);
  const runs: Run[] = [];
  for (let index = 0; index < plan.devices; index++) {
    const conditions = conditionsOf(plan, random);
    const begin = from + random() * plan.spreadDays * day;
    const { rule } = plan;
    const device = new Device({ name: `${index}`, rule, conditions, from: begin, to, random });
    runs.push({ conditions, history: await device.run() });
  }
  const histories = runs.map(({ history }) => history);
  const uses = histories.flatMap((history) => history.uses);
  const gaps = runs.flatMap(gapsOf);
  return {
    renewals: uses.length - plan.devices,
    shortened: uses.filter(isShortened(plan.rule)).length,
    outliving: sum(runs.map(outlivingOf)),
    requests: sum(histories.map(({ requests }) => requests.length)),
    avoidable: gaps.filter(({ isAvoidable }) => isAvoidable).length,
    unavoidableDays: sum(gaps.map((gap) => gap.to - gap.from)) / day,
    slowestReturnHours: Math.max(0, ...gaps.map(({ returnMs }) => returnMs)) / hour,
    earliestRenewal: Math.min(...histories.map(earliestRenewalOf)),
    early: sum(histories.map(({ early }) => early)),
    peaks: interruptionsOf(plan).map((one) => peakAfter(one, runs)),
    keys: Math.max(...histories.map(({ keys }) => keys)),
  };
}

function periodOf({ day: begin, days }: Days): Period {
  return { from: from + begin * day, to: from + (begin + days) * day };
}

function conditionsOf(plan: Plan, random: () => number): Conditions {
  const clock: ClockStep[] = [];
  const span = (plan.years * year) / Math.max(1, plan.clockSteps);
  for (let index = 0; index < plan.clockSteps; index++) {
    const begin = from + (index + random() * 0.8) * span;
    const byMs = (random() < 0.5 ? -10 : 10) * year;
    clock.push({ from: begin, to: begin + random() * Math.min(10 * day, span * 0.2), byMs });
  }
  return {
    outages: plan.outages.filter(({ share = 1 }) => share >= 1 || random() < share).map(periodOf),
    undecided: plan.undecided.map(periodOf),
    clock,
    authorities: authoritiesOf(plan),
  };
}

function authoritiesOf({ authorities, years }: Plan): readonly Period[] {
  return (authorities ?? [{ day: -365, days: (years + 100) * 365 }]).map(periodOf);
}

/** The times in which no certificate is issued to some devices: outages, and between the lives of CA certificates. */
function interruptionsOf(plan: Plan): readonly Period[] {
  const authorities = authoritiesOf(plan);
  const between = authorities.flatMap(({ to }, at) => {
    const next = authorities[at + 1];
    return next !== undefined && to < next.from ? [{ from: to, to: next.from }] : [];
  });
  return [...plan.outages.map(periodOf), ...between].toSorted((a, b) => a.from - b.from);
}

interface Gap extends Period {
  /** Whether the certificate could have been renewed before it expired. */
  readonly isAvoidable: boolean;
  /** The longest time in the gap during which it could have been renewed. */
  readonly returnMs: number;
}

/** The times without a valid certificate. */
function gapsOf({ conditions, history }: Run): readonly Gap[] {
  return history.uses
    .filter(({ to, notAfter }) => notAfter < to)
    .map(({ to, notAfter }) => {
      const isRenewableAt = (time: number): boolean => isRenewable(conditions, time, notAfter);
      const isAvoidable = [0, 1, 2].every((step) => isRenewableAt(notAfter - (step * slackMs) / 2));
      const changes = changesOf(conditions).filter((time) => notAfter < time && time < to);
      let [since, returnMs] = [notAfter, 0];
      for (const [at, begin] of [notAfter, ...changes].entries()) {
        if (!isRenewableAt(begin)) since = Infinity;
        else since = Math.min(since, begin);
        returnMs = Math.max(returnMs, (changes[at] ?? to) - since);
      }
      return { from: notAfter, to, isAvoidable, returnMs };
    });
}

/** Certificates are dated back by minutes. */
const isShortened =
  ({ lifetimeS }: OrderRule) =>
  ({ notBefore, notAfter }: Use): boolean =>
    notAfter - notBefore < lifetimeS * 1000;

function outlivingOf({ conditions, history: { uses } }: Run): number {
  const isOutliving = ({ issued, notAfter }: Use): boolean =>
    notAfter > (authorityAt(conditions, issued)?.to ?? 0);
  return uses.filter(isOutliving).length;
}

/** The last one is in use still. */
function earliestRenewalOf({ uses }: History): number {
  const shares = uses
    .slice(0, -1)
    .map(({ to, notAfter, notBefore }) => (to - notBefore) / (notAfter - notBefore));
  return Math.min(Number.POSITIVE_INFINITY, ...shares);
}

/**
 * The highest load divided by the mean, in thirtieths of the time in which all devices come back that asked in an
 * interruption. Those whose certificates are still valid have days for it, and are left out when others have expired.
 */
function peakAfter({ from: begin, to: end }: Period, runs: readonly Run[]): number | undefined {
  const asked = runs.flatMap(({ history: { requests, uses } }) => {
    const next = requests.find((time) => time >= end);
    if (next === undefined || !requests.some((time) => begin <= time && time < end)) return [];
    const hasExpired = uses.some(({ notAfter, to }) => notAfter < end && end < to);
    return [{ hasExpired, afterMs: next - end }];
  });
  const expired = asked.filter(({ hasExpired }) => hasExpired);
  const returns = (expired.length > 0 ? expired : asked).map(({ afterMs }) => afterMs);
  if (returns.length < buckets) return undefined;
  const all = Math.max(...returns);
  const counts = Array.from({ length: buckets }, () => 0);
  for (const time of returns) {
    const bucket = Math.min(buckets - 1, Math.floor((time / all) * buckets));
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  }
  return Math.max(...counts) / (returns.length / buckets);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
