/** Whether the new instance of an update is good. */
import { type Goal, isToRun } from '../desired-state.ts';
import type { Instance } from '../module-type.ts';

/** How long a new instance is observed. */
export interface TrialLimits {
  /** How long one without a health check has to run. */
  readonly runMs: number;
  /** How long a health check may take to succeed for the first time. */
  readonly healthMs: number;
}

export const trialLimits: TrialLimits = { runMs: 10_000, healthMs: 600_000 };

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
}

const pending = { kind: 'pending', at: undefined } as const;

/** Observes the new instance of an update since it runs. */
export class Trial {
  readonly #limits: TrialLimits;
  /** Of the run that is observed. */
  #since: { readonly startedMs: number; readonly ms: number } | undefined;

  constructor(limits: TrialLimits) {
    this.#limits = limits;
  }

  /** The verdict on the new instance, which may not exist yet. One that is not to run stays unproven. */
  judge(instance: Instance | undefined, { goal, endedItself, now }: TrialInput): Verdict {
    if (instance === undefined || !isToRun(goal)) return pending;
    if (endedItself) return bad(`the new instance ended${codeOf(instance)} before it proved good`);
    const { state, health } = instance;
    if (state.kind === 'restarting') return bad(`the new instance ended${codeOf(instance)}`);
    if (state.kind === 'paused') this.#restart(state.startedAt);
    if (state.kind !== 'running') return pending;
    if (health === 'healthy') return { kind: 'good' };
    if (health === 'unhealthy') return bad('the health check of the new instance failed');
    const { runMs, healthMs } = this.#limits;
    const limitMs = health === 'starting' ? healthMs : runMs;
    const ms = this.#observedSince(state.startedAt, now) + limitMs;
    if (now.getTime() < ms) return { kind: 'pending', at: new Date(ms) };
    if (health === undefined) return { kind: 'good' };
    const text = `the health check of the new instance did not succeed within ${healthMs / 1000} s`;
    return bad(text);
  }

  /** Counts this run from when it is observed to run next. */
  #restart(startedAt: Date): void {
    this.#since = { startedMs: startedAt.getTime(), ms: Number.POSITIVE_INFINITY };
  }

  /** When this run began; of a clock that was set back, when that was noticed. */
  #observedSince(startedAt: Date, now: Date): number {
    const startedMs = startedAt.getTime();
    const known = this.#since?.startedMs === startedMs ? this.#since.ms : startedMs;
    const ms = Math.min(known, now.getTime());
    this.#since = { startedMs, ms };
    return ms;
  }
}

function bad(reason: string): Verdict {
  return { kind: 'bad', reason };
}

function codeOf({ state }: Instance): string {
  return 'exitCode' in state ? ` with exit code ${state.exitCode}` : '';
}
