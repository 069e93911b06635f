import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommonConfig } from '../../src/service/config/common-config.ts';
import { type ConfigSource, loadConfig } from '../../src/service/config/config.ts';
import { ConfigError, type Problem } from '../../src/service/config/config-problem.ts';

type Common = Pick<CommonConfig, 'authorization' | 'grants'>;
/** The schema and the parser of a service, and the mode of its file. */
type Form<T extends Common> = Omit<ConfigSource<T>, 'dir'> & { readonly mode?: number };

/** Loads the configuration of a service from a directory, after writing its file there. */
export async function loadText<T extends Common>(
  { mode = 0o644, ...source }: Form<T>,
  dir: string,
  text: string,
): Promise<T> {
  await writeFile(join(dir, `${source.service}.yaml`), text, { mode });
  return loadConfig({ dir, ...source });
}

/** The problems of a configuration, none when it is valid. */
export async function problemsOfText<T extends Common>(
  form: Form<T>,
  dir: string,
  text: string,
): Promise<readonly Problem[]> {
  try {
    await loadText(form, dir, text);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}
