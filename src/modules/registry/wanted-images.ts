import type { ModulesConfig } from '../config/config.ts';
import { parseSettings } from '../docker/create-options/create-options.ts';
import type { WantedImage } from '../docker/create-options/image-policy.ts';
import type { ModuleSource } from '../module-source.ts';
import type { Records } from './records.ts';

/** What demands images. */
export interface ImageDemand {
  readonly sources: readonly ModuleSource[];
  readonly agent: ModulesConfig['agent'];
  readonly records: Pick<Records, 'modules'>;
}

/** The images that modules and the agent demand; undefined when the configuration of a module is unreadable. */
export function wantedImages({
  sources,
  agent,
  records,
}: ImageDemand): readonly WantedImage[] | undefined {
  const { damaged, failure } = records.modules;
  if (damaged.size > 0 || failure !== undefined) return undefined;
  const ofAgent = agent === undefined ? [] : [parseSettings(agent.config)];
  return [...sources.map(({ settings }) => settings), ...ofAgent];
}
