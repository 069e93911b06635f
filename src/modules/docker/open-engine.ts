import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../service/log/log.ts';
import type { ModulesConfig } from '../config/config.ts';
import type { WantedImage } from './create-options/image-policy.ts';
import { CreatedContainers } from './drift/created-containers.ts';
import { DockerEngine } from './engine/docker-engine.ts';
import { currentBoot } from './images/age-clock.ts';
import { ImageCleanup } from './images/image-cleanup.ts';
import { LastCleanup } from './images/last-cleanup.ts';
import { PulledImages } from './images/pulled-images.ts';

/** Dependencies of the engine. */
export interface EngineOptions {
  readonly stateDir: string;
  /** The configuration in force. */
  readonly config: () => Pick<ModulesConfig, 'engineSocket' | 'imageCleanup' | 'logOptions'>;
  /** Receives how the modules' network differs from what is configured, `` when it does not. */
  readonly onNetwork: (problem: string) => void;
  readonly now: () => Date;
  readonly log: Log;
}

/** The engine, with the records of what this runtime made there. */
export interface OpenedEngine {
  readonly engine: DockerEngine;
  /** The clean-up of images, of those that no module demands; see `ImageCleanupOptions`. */
  readonly imageCleanup: (wanted: () => readonly WantedImage[] | undefined) => ImageCleanup;
}

/** Opens the records; the engine itself may be unreachable. */
export async function openEngine(options: EngineOptions): Promise<OpenedEngine> {
  const { config, log, now, onNetwork, stateDir } = options;
  const created = await CreatedContainers.open(stateDir, options);
  const pulled = await PulledImages.open(stateDir, { boot: await currentBoot(), now, log });
  const last = await LastCleanup.open(join(stateDir, 'image-cleanup.json'), options);
  const logOptions = () => config().logOptions;
  let cleanup: ImageCleanup | undefined;
  const engine = new DockerEngine(config().engineSocket, {
    created,
    pulled,
    makeRoom: async (sinceMs, signal) =>
      (await cleanup?.makeRoom(sinceMs, signal)) ?? { kind: 'none', reason: 'no clean-up yet' },
    logOptions,
    onNetwork,
  });
  const { images } = engine;
  const imageCleanup: OpenedEngine['imageCleanup'] = (wanted) => {
    cleanup = new ImageCleanup({
      images,
      pulled,
      last,
      config: () => config().imageCleanup,
      wanted,
      freePercent: async (signal) => freePercent((await engine.system(signal)).rootDirectory),
      now,
      log,
    });
    return cleanup;
  };
  return { engine, imageCleanup };
}

/** The share of free space of a disk in percent, undefined when it cannot be read. */
async function freePercent(path: string): Promise<number | undefined> {
  try {
    const { bavail, blocks } = await statfs(path);
    return blocks > 0 ? (bavail * 100) / blocks : undefined;
  } catch {
    return undefined; // a directory that this user may not reach, or the engine is elsewhere
  }
}
