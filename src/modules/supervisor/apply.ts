import type { ModuleType, PullProgress } from './module-type.ts';
import type { Step } from './plan.ts';

/** Where a step is applied. */
export interface StepContext {
  readonly type: Pick<ModuleType, 'stop' | 'remove' | 'unpause'>;
  /** Of the module and its instance. */
  readonly name: string;
  readonly stopTimeoutS: number | undefined;
  readonly onProgress: (progress: PullProgress) => void;
  /** Receives the warning of a pull, `` for none. */
  readonly onPulled: (warning: string) => void;
}

/** Applies one step. */
export async function apply(step: Step, context: StepContext, signal: AbortSignal): Promise<void> {
  const { type, name, stopTimeoutS, onProgress, onPulled } = context;
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
  }
}
