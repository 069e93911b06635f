import { parseModuleName } from '../../../src/ids.ts';
import { parseSettings } from '../../../src/modules/docker/create-options/create-options.ts';
import type { ModuleSource } from '../../../src/modules/module-source.ts';

/** The configuration of a module that only its image distinguishes. */
export function moduleSource(name: string, image = 'localhost/a:1'): ModuleSource {
  const settings = parseSettings({ image });
  return { name: parseModuleName(name), settings, env: {}, elevated: false };
}
