import { statSync } from 'node:fs';
import { ServiceError, systemCode } from '../errors.ts';
import type { CommandContext } from './command.ts';

const installed = '/etc/iotedge';

/** The option that names another directory of configuration files. */
export const directoryOption = {
  'config-dir': { type: 'string', help: `in place of ${installed}` },
} as const;

/** The directory of the configuration files; NotFound or AccessDenied when there is none to read. */
export function configDirectory({ options }: Pick<CommandContext, 'options'>): string {
  const given = options['config-dir'];
  const dir = typeof given === 'string' ? given : installed;
  try {
    statSync(dir);
    return dir;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EACCES') {
      throw new ServiceError('AccessDenied', `${dir} could not be read as ${thisUser()}`);
    }
    const defaults = 'nothing is configured, and services would start with their defaults';
    throw new ServiceError('NotFound', `no directory ${dir} (${code}): ${defaults}`);
  }
}

/** The user of this process, for messages. */
export function thisUser(): string {
  return `uid ${process.getuid?.() ?? '?'}`;
}

/** AccessDenied unless root runs the verb. */
export function requireRoot(verb: string): void {
  if (process.getuid?.() === 0) return;
  throw new ServiceError('AccessDenied', `'${verb}' changes what belongs to root: run it as root`);
}
