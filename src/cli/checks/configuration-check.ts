import { describeError, isServiceError } from '../../errors.ts';
import type { CommandContext } from '../command.ts';
import { configDirectory, thisUser } from '../config-directory.ts';
import { allIsWell, type Check, problemCount } from './check-result.ts';

const name = 'configuration';

/** The check on the configuration files of the four services. */
export async function configurationCheck(context: CommandContext): Promise<Check> {
  let dir: string;
  try {
    dir = configDirectory(context);
  } catch (error) {
    if (!isServiceError(error)) throw error;
    const details = [describeError(error)];
    return { name, outcome: 'not checked', result: 'warning', details, advice: [] };
  }
  const { checkConfigurations } = await import('../configuration/check.ts'); // other verbs start without it
  const { problems, denied } = await checkConfigurations(dir);
  const advice = [`'iotedgectl config check --config-dir ${dir}' shows it in detail`];
  if (problems.length > 0) {
    const details = problems.map(({ file, line, message }) => `${file}:${line}: ${message}`);
    return { name, outcome: problemCount(problems.length), result: 'error', details, advice };
  }
  if (denied.length === 0) return { name, outcome: 'valid', ...allIsWell };
  const details = denied.map(({ file }) => `${file} could not be read as ${thisUser()}`);
  const outcome = 'not checked completely';
  return { name, outcome, result: 'warning', details, advice: ['run it as root'] };
}
