import type { OrderRule } from '../../../src/certificates/renewal/order-rule.ts';
import { type ClockStep, type Conditions, isGood, type Period } from './conditions.ts';
import { Device, type History } from './device.ts';

const day = 86_400_000;
const year = 365 * day;
/** Later than the clock that the service takes for unset. */
const from = Date.UTC(2030, 0, 1);
/** A device may need as long to see that conditions are good again. */
const slackMs = 600_000;

/** What happens to a number of devices. */
export interface Plan {
  readonly rule: OrderRule;
  readonly devices: number;
  readonly years: number;
  /** Of all devices, in days after the beginning. */
  readonly outages: readonly { readonly day: number; readonly days: number }[];
  /** Times in which the issuer does not decide. */
  readonly undecided: readonly { readonly day: number; readonly days: number }[];
  /** How often the clock of each device is set wrong by ten years, for up to ten days. */
  readonly clockSteps: number;
  /** The days over which the devices are put into operation. */
  readonly spreadDays: number;
}

/** What came of it. */
export interface Outcome {
  readonly renewals: number;
  readonly requests: number;
  /** Times at which a certificate expired although it could have been renewed before. */
  readonly avoidable: number;
  /** Days without a valid certificate, in which it could not be renewed. */
  readonly unavoidableDays: number;
  /** The shortest use of a certificate, as a share of its life. */
  readonly shortestUse: number;
  /** After each outage: the highest load divided by the mean, until all devices are back. */
  readonly peaks: readonly number[];
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

/** Runs all devices of a plan. */
export async function simulate(plan: Plan, seed = 1): Promise<Outcome> {
  const to = from + plan.years * year;
  const random = randomFrom(seed);
  const runs: { readonly conditions: Conditions; readonly history: History }[] = [];
  for (let index = 0; index < plan.devices; index++) {
    const conditions = conditionsOf(plan, random);
    const begin = from + random() * plan.spreadDays * day;
    const { rule } = plan;
    const device = new Device({ name: `${index}`, rule, conditions, from: begin, to, random });
    runs.push({ conditions, history: await device.run() });
  }
  const uses = runs.flatMap(({ history }) => history.uses);
  const gaps = runs.map(({ conditions, history }) => gapsOf(conditions, history));
  return {
    renewals: uses.length - plan.devices,
    requests: sum(runs.map(({ history }) => history.requests.length)),
    avoidable: sum(gaps.map(({ avoidable }) => avoidable)),
    unavoidableDays: sum(gaps.map(({ ms }) => ms)) / day,
    shortestUse: Math.min(...runs.map(({ history }) => shortestUseOf(history))),
    peaks: periodsOf(plan.outages).map(({ to: end }) =>
      peakAfter(
        end,
        runs.map(({ history }) => history),
      ),
    ),
    keys: Math.max(...runs.map(({ history }) => history.keys)),
  };
}

function periodsOf(days: Plan['outages']): readonly Period[] {
  return days.map((one) => ({
    from: from + one.day * day,
    to: from + (one.day + one.days) * day,
  }));
}

function conditionsOf(plan: Plan, random: () => number): Conditions {
  const clock: ClockStep[] = [];
  const span = (plan.years * year) / Math.max(1, plan.clockSteps);
  for (let index = 0; index < plan.clockSteps; index++) {
    const begin = from + (index + random() * 0.8) * span;
    const byMs = (random() < 0.5 ? -10 : 10) * year;
    clock.push({ from: begin, to: begin + random() * Math.min(10 * day, span * 0.2), byMs });
  }
  return { outages: periodsOf(plan.outages), undecided: periodsOf(plan.undecided), clock };
}

/** The times without a valid certificate; avoidable are those before which conditions were good. */
function gapsOf(
  conditions: Conditions,
  { uses }: History,
): { readonly avoidable: number; readonly ms: number } {
  const gaps = uses
    .filter(({ to, notAfter }) => notAfter < to)
    .map(({ to, notAfter }) => ({ from: notAfter, to }));
  const wasGood = (gap: Period): boolean =>
    [0, 1, 2].every((step) => isGood(conditions, gap.from - (step * slackMs) / 2));
  return {
    avoidable: gaps.filter(wasGood).length,
    ms: sum(gaps.map((gap) => gap.to - gap.from)),
  };
}

/** The last one is in use still. */
function shortestUseOf({ uses }: History): number {
  const shares = uses
    .slice(0, -1)
    .map(({ from: begin, to, notAfter, notBefore }) => (to - begin) / (notAfter - notBefore));
  return Math.min(Number.POSITIVE_INFINITY, ...shares);
}

/** Devices are back when they have a certificate that was issued after the outage, if they asked for one in it. */
function peakAfter(end: number, histories: readonly History[]): number {
  const returns = histories.flatMap(({ requests }) => {
    const last = requests.findLast((time) => time < end);
    const next = requests.find((time) => time >= end);
    return last === undefined || next === undefined || end - last > year ? [] : next - end;
  });
  const all = Math.max(...returns);
  const counts = Array.from({ length: 30 }, () => 0);
  for (const time of returns) {
    const bucket = Math.min(29, Math.floor((time / all) * 30));
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  }
  return Math.max(...counts) / (returns.length / 30);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
