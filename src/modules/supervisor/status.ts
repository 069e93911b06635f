import type { PullProgress } from '../docker/engine.ts';
import type { ModuleStatus } from './goal.ts';
import { stateOf } from './module-state.ts';
import type { Step } from './plan.ts';

const progressMs = 500;
const noStep = { step: undefined, progress: 0, progressText: '' } as const;

/**
 * The status of a module. Changes are noted and published together, so that clients see no transient values: half of
 * an observation, or a container that has just been stopped as still running.
 */
export class StatusTracker {
  readonly #now: () => Date;
  readonly #onStatus: (status: ModuleStatus) => void;
  #current: ModuleStatus;
  #progressAt = 0;
  #isHeld = false;

  constructor(
    initial: Pick<ModuleStatus, 'goal' | 'error'>,
    now: () => Date,
    onStatus: (status: ModuleStatus) => void,
  ) {
    this.#now = now;
    this.#onStatus = onStatus;
    const unknown = { container: undefined, known: false, retryAt: undefined, failed: false };
    const status = { ...initial, ...unknown, ...noStep, note: '', restartCount: 0 };
    this.#current = { ...status, state: stateOf(status) ?? 'unknown' };
  }

  get current(): ModuleStatus {
    return this.#current;
  }

  /** Notes what has changed, for the next publication. */
  note(changes: Partial<Omit<ModuleStatus, 'state'>>): void {
    this.#current = { ...this.#current, ...changes };
  }

  /** Publishes nothing before `release`. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Publishes what is noted, and from now on what is published. */
  release(): void {
    this.#isHeld = false;
    this.publish();
  }

  /** Publishes what is noted. */
  publish(): void {
    if (this.#isHeld) return;
    this.#current = { ...this.#current, state: stateOf(this.#current) ?? this.#current.state };
    this.#onStatus(this.#current);
  }

  /** Publishes a step that begins. It ends with the next observation of the container. */
  begin(step: Step['kind']): void {
    this.note({ step, progress: 0, progressText: step });
    this.publish();
  }

  /** Notes that no step is in progress. */
  end(): void {
    this.note(noStep);
  }

  /** Publishes the progress of a step at a limited rate: engines report it far more often. */
  progress({ fraction, text }: PullProgress): void {
    const now = this.#now().getTime();
    if (now - this.#progressAt < progressMs) return;
    this.#progressAt = now;
    this.note({ progress: Math.round(fraction * 100) / 100, progressText: text });
    this.publish();
  }
}
