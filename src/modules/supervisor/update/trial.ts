/** Whether the new instance of an update is good. */
import { type Goal, isToRun } from '../desired-state.ts';
import type { Instance } from '../module-type.ts';

/** How long a new instance is observed. */
export interface TrialLimits {
  /** How long one without a health check has to run. */
  readonly runMs: number;
  /** How long a health check may take to succeed for the first time. */
  readonly healthMs: number;
  /** How long it may fail to be created and started for causes that pass by themselves, if no caller waits. */
  readonly startMs: number;
}

export const trialLimits: TrialLimits = { runMs: 10_000, healthMs: 600_000, startMs: 300_000 };

export type Verdict =
  | { readonly kind: 'good' }
  | { readonly kind: 'bad'; readonly reason: string }
  /** It is judged again at that time, or undefined, after an event. */
  | { readonly kind: 'pending'; readonly at: Date | undefined };

/** The parts of a module's state that decide. */
export interface TrialInput {
  readonly goal: Goal;
  /** Whether it ended, and neither the runtime nor the engine ended it. */
  readonly endedItself: boolean;
  readonly now: Date;
  /** The time of the monotonic clock. */
  readonly monotonicMs: number;
}

const pending = { kind: 'pending', at: undefined } as const;

/**
 * Observes the new instance of an update. Only the time counts in which this process has seen it run: the clock may be
 * set meanwhile.
 */
export class Trial {
  readonly #limits: Omit<TrialLimits, 'startMs'>;
  /** The run that is observed, and since when. */
  #seen: { readonly run: string; readonly sinceMs: number } | undefined;

  constructor(limits: Omit<TrialLimits, 'startMs'>) {
    this.#limits = limits;
  }

  /** The verdict on the new instance, which may not exist yet. One that is not to run stays unproven. */
  judge(
    instance: Instance | undefined,
    { goal, endedItself, now, monotonicMs }: TrialInput,
  ): Verdict {
    if (instance === undefined || !isToRun(goal)) return pending;
    if (endedItself) return bad(`the new instance ended${codeOf(instance)} before it proved good`);
    const { state, health } = instance;
    if (state.kind === 'restarting') return bad(`the new instance ended${codeOf(instance)}`);
    if (state.kind === 'paused') this.#seen = undefined;
    if (state.kind !== 'running') return pending;
    if (health === 'healthy') return { kind: 'good' };
    if (health === 'unhealthy') return bad('the health check of the new instance failed');
    const { runMs, healthMs } = this.#limits;
    const limitMs = health === 'starting' ? healthMs : runMs;
    const leftMs =
      this.#observedSince(instance, state.startedAt, monotonicMs) + limitMs - monotonicMs;
    if (leftMs > 0) return { kind: 'pending', at: new Date(now.getTime() + leftMs) };
    if (health === undefined) return { kind: 'good' };
    const text = `the health check of the new instance did not succeed within ${healthMs / 1000} s`;
    return bad(text);
  }

  /** Since when this run is observed. */
  #observedSince({ id }: Instance, startedAt: Date, monotonicMs: number): number {
    const run = `${id} ${startedAt.getTime()}`;
    if (this.#seen?.run !== run) this.#seen = { run, sinceMs: monotonicMs };
    return this.#seen.sinceMs;
  }
}

function bad(reason: string): Verdict {
  return { kind: 'bad', reason };
}

function codeOf({ state }: Instance): string {
  return 'exitCode' in state ? ` with exit code ${state.exitCode}` : '';
}
