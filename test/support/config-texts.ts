import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommonConfig } from '../../src/service/config/common-config.ts';
import { type ConfigSource, loadConfig } from '../../src/service/config/config.ts';
import { ConfigError, type Problem } from '../../src/service/config/config-problem.ts';

type Form<T extends Pick<CommonConfig, 'authorization' | 'grants'>> = Pick<
  ConfigSource<T>,
  'service' | 'schema' | 'parse'
>;

/** Loads the configuration of a service from a directory, after writing its file there. */
export async function loadText<T extends Pick<CommonConfig, 'authorization' | 'grants'>>(
  form: Form<T>,
  dir: string,
  text: string,
): Promise<T> {
  await writeFile(join(dir, `${form.service}.yaml`), text);
  return loadConfig({ dir, ...form });
}

/** The problems of a configuration, none when it is valid. */
export async function problemsOfText<T extends Pick<CommonConfig, 'authorization' | 'grants'>>(
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
