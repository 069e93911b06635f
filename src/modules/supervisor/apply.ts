import type { ContainerEngine, JsonObject, Network } from '../docker/engine.ts';
import type { Step } from './plan.ts';

/** A module as steps need it. */
export interface Work {
  readonly engine: ContainerEngine;
  readonly name: string;
  readonly body: JsonObject;
  readonly network: Network;
  readonly stopTimeoutS: number | undefined;
  readonly fetchImage: (signal: AbortSignal) => Promise<void>;
  /** Checks again what may have changed since the configuration was accepted; throws to refuse. */
  readonly check: (signal: AbortSignal) => Promise<void>;
}

/** The part of `Work` for steps that need no configuration: stop and remove. */
export const unprepared: Pick<Work, 'body' | 'network' | 'check'> = {
  body: {},
  network: { name: '' },
  check: () => Promise.resolve(),
};

/** Applies one step. */
export async function apply(step: Step, work: Work, signal: AbortSignal): Promise<void> {
  const { engine, name } = work;
  switch (step.kind) {
    case 'pull':
      return work.fetchImage(signal);
    case 'stop':
      return engine.stop(step.id, work.stopTimeoutS, signal);
    case 'remove':
      return engine.remove(step.id, signal);
    case 'create':
      await work.check(signal);
      await engine.ensureNetwork(work.network, signal);
      return engine.create(name, work.body, signal);
    case 'start':
      await work.check(signal);
      return engine.start(name, signal);
  }
}
