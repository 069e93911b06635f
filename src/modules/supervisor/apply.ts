import { JoinedSignal } from '../../service/joined-signal.ts';
import type { DesiredState } from './desired-state.ts';
import type { ModuleType, PullProgress } from './module-type.ts';
import type { Step } from './plan.ts';
import { rejected } from './update/roll-back.ts';
import { abandoned, ended, kept, tried } from './update/update.ts';

const longestReleaseMs = 10_000;

/** Where a step is applied. */
export interface StepContext {
  readonly type: Pick<
    ModuleType,
    'stop' | 'remove' | 'unpause' | 'keep' | 'park' | 'unpark' | 'release'
  >;
  /** Of the module and its instance. */
  readonly name: string;
  readonly desired: Pick<DesiredState, 'change'>;
  readonly stopTimeoutS: number | undefined;
  readonly onProgress: (progress: PullProgress) => void;
  /** Receives the warning of a pull, `` for none. */
  readonly onPulled: (warning: string) => void;
  /** How long the engine may take to release what was kept for an update. */
  readonly releaseMs?: number | undefined;
}

/** Applies one step. */
export async function apply(step: Step, context: StepContext, signal: AbortSignal): Promise<void> {
  const { type, name, desired, stopTimeoutS, onProgress, onPulled } = context;
  switch (step.kind) {
    case 'pull':
      return onPulled(await step.spec.pull(onProgress, signal));
    case 'create':
      return step.spec.create(name, signal);
    case 'start':
      return step.spec.start(name, signal);
    case 'stop':
      return type.stop(step.id, stopTimeoutS, signal);
    case 'remove':
      return type.remove(step.id, signal);
    case 'unpause':
      return type.unpause(step.id, signal);
    case 'keep':
      return type.keep({ id: step.id, name }, signal);
    case 'park':
      return type.park({ id: step.id, name }, signal);
    case 'unpark':
      return type.unpark({ id: step.id, name }, signal);
    case 'try':
      return desired.change((now) => tried(now, step.oldId));
    case 'accept':
      return desired.change(kept);
    case 'reject':
      return desired.change((now) => rejected(now, step.id));
    case 'abandon':
      return desired.change(abandoned);
    case 'end':
      await release(context, signal);
      return desired.change(ended);
  }
}

/** The module waits for it: an engine that does not respond is asked again later. */
async function release(
  { name, releaseMs = longestReleaseMs, type }: StepContext,
  signal: AbortSignal,
): Promise<void> {
  using limited = JoinedSignal.within(releaseMs, signal);
  await type.release(name, limited.signal);
}
