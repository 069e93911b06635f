import type { Command } from '../command.ts';
import { configDirectory, directoryOption } from '../config-directory.ts';

/**
 * `iotedgectl config check`: the problems that the services would report in their configuration, without starting them.
 */
export const configCheck: Command = {
  words: 'config check',
  summary: 'check the configuration files of the four services',
  options: directoryOption,
  async run(context) {
    const dir = configDirectory(context);
    const { runCheck } = await import('../configuration/check.ts');
    return runCheck(dir, context);
  },
};
