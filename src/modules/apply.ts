import type { ContainerEngine, JsonObject, Network, PullProgress, RegistryAuth } from './engine.ts';
import type { Step } from './plan.ts';

/** A module as steps need it. */
export interface Work {
  readonly engine: ContainerEngine;
  readonly name: string;
  readonly image: string;
  readonly auth: RegistryAuth | undefined;
  readonly body: JsonObject;
  readonly network: Network;
  readonly stopTimeoutS: number | undefined;
  readonly onProgress: (progress: PullProgress) => void;
  /** Looks once more at what may have changed since the configuration was accepted; throws to refuse. */
  readonly check: () => Promise<void>;
}

type Apply = (work: Work, signal: AbortSignal) => Promise<void>;

const steps: { readonly [K in Step['kind']]: Apply } = {
  async pull({ engine, image, auth, onProgress }, signal) {
    await engine.pull(image, { auth, onProgress }, signal);
  },
  async stop({ engine, name, stopTimeoutS }, signal) {
    await engine.stop(name, stopTimeoutS, signal);
  },
  async remove({ engine, name }, signal) {
    await engine.remove(name, signal);
  },
  async create({ engine, name, body, check, network }, signal) {
    await check();
    await engine.ensureNetwork(network, signal);
    await engine.create(name, body, signal);
  },
  async start({ engine, name, check }, signal) {
    await check();
    await engine.start(name, signal);
  },
};

/** Does one step. */
export function apply(step: Step, work: Work, signal: AbortSignal): Promise<void> {
  return steps[step.kind](work, signal);
}
