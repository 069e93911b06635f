import { describeError, isServiceError } from '../../errors.ts';
import type { CommandContext } from '../command.ts';
import { configDirectory, thisUser } from '../config-directory.ts';
import { allIsWell, type Check } from './check-result.ts';

const name = 'the configuration is valid';

/** The check on the configuration files of the four services. */
export async function configurationCheck(context: CommandContext): Promise<Check> {
  let dir: string;
  try {
    dir = configDirectory(context);
  } catch (error) {
    if (!isServiceError(error)) throw error;
    return { name, result: 'warning', details: [describeError(error)], advice: [] };
  }
  const { checkConfigurations } = await import('../configuration/check.ts'); // other verbs start without it
  const { problems, denied } = await checkConfigurations(dir);
  const advice = [`'iotedgectl config check --config-dir ${dir}' shows it in detail`];
  if (problems.length > 0) {
    const details = problems.map(({ file, line, message }) => `${file}:${line}: ${message}`);
    return { name, result: 'error', details, advice };
  }
  if (denied.length === 0) return { name, ...allIsWell };
  const details = denied.map(({ file }) => `${file} could not be read as ${thisUser()}`);
  return { name, result: 'warning', details, advice: ['run it as root'] };
}
