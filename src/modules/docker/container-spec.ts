import type {
  InstanceSpec,
  PullProgress,
  ResolvedSpec,
  ResolveOptions,
} from '../supervisor/module-type.ts';
import type { ContainerEngine, ImageTag, JsonObject, Network } from './engine/container-engine.ts';
import { ModuleImage, type PulledImage } from './module-image.ts';
import type { LimitedStep, StartLimiter } from './start-limiter.ts';

/** The parts of a container's specification. */
export interface ContainerSpecOptions {
  readonly engine: Pick<
    ContainerEngine,
    'findImage' | 'pull' | 'ensureNetwork' | 'create' | 'start'
  >;
  /** Of the create request. */
  readonly digest: string;
  readonly image: PulledImage;
  /** The tag that keeps the image of the module's former container during an update. */
  readonly kept?: ImageTag;
  /** The create request. */
  readonly body: JsonObject;
  readonly network: Network;
  /** Checks again what may have changed since the configuration was accepted; throws to refuse. */
  readonly check: (signal: AbortSignal) => Promise<void>;
  /** Without it, the container waits for no other one. */
  readonly limiter?: Pick<StartLimiter, 'run'> | undefined;
}

/** The specification of a module's container. */
export class ContainerSpec implements InstanceSpec {
  readonly #options: ContainerSpecOptions;
  readonly #image: ModuleImage;

  constructor(options: ContainerSpecOptions) {
    this.#options = options;
    this.#image = new ModuleImage(options.engine, options.image);
  }

  get digest(): string {
    return this.#options.digest;
  }

  async resolve(
    { refresh, isKept }: ResolveOptions,
    signal: AbortSignal,
  ): Promise<ResolvedSpec | undefined> {
    const kept = isKept === true ? this.#options.kept : undefined;
    const image = await this.#image.find({ refresh, kept }, signal);
    if (image === undefined) return undefined;
    const body = { ...this.#options.body, Image: image };
    return { create: (name, creating) => this.#create(name, body, creating) };
  }

  pull(onProgress: (progress: PullProgress) => void, signal: AbortSignal): Promise<string> {
    return this.#image.pull(onProgress, signal);
  }

  start(name: string, signal: AbortSignal): Promise<void> {
    return this.#limited('start', () => this.#options.engine.start(name, signal), signal);
  }

  #create(name: string, body: JsonObject, signal: AbortSignal): Promise<void> {
    const { engine, network } = this.#options;
    const create = async (): Promise<void> => {
      await engine.ensureNetwork(network, signal);
      await engine.create(name, body, signal);
    };
    return this.#limited('create', create, signal);
  }

  /** Runs a step after the check, which is not to be older than the step. */
  #limited(kind: LimitedStep, step: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const { check, limiter } = this.#options;
    const checked = async (): Promise<void> => {
      await check(signal);
      await step();
    };
    return limiter === undefined ? checked() : limiter.run(kind, checked, signal);
  }
}
