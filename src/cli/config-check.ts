import { existsSync } from 'node:fs';
import { certificatesSchema, parseCertificatesConfig } from '../certificates/config.ts';
import { ServiceError } from '../errors.ts';
import { identitySchema, parseIdentityConfig } from '../identity/config.ts';
import { keysSchema, parseKeysConfig } from '../keys/config.ts';
import { modulesSchema, parseModulesConfig } from '../modules/config.ts';
import { ConfigError, type ConfigSource, formatProblem, loadConfig } from '../service/config.ts';
import { type Command, exitCodes } from './command.ts';
import { formatJson, printable } from './output.ts';

const defaultDirectory = '/etc/iotedge';

const configurations: readonly Omit<ConfigSource<unknown>, 'dir'>[] = [
  { service: 'keys', schema: keysSchema, parse: parseKeysConfig },
  { service: 'certificates', schema: certificatesSchema, parse: parseCertificatesConfig },
  { service: 'identity', schema: identitySchema, parse: parseIdentityConfig },
  { service: 'modules', schema: modulesSchema, parse: parseModulesConfig },
];

/** `iotedgectl config check`: what the services would say about their configuration, without starting them. */
export const configCheck: Command = {
  words: 'config check',
  summary: 'check the configuration files of the four services',
  options: { 'config-dir': { type: 'string', help: `in place of ${defaultDirectory}` } },
  async run({ options, print }) {
    const given = options['config-dir'];
    const dir = typeof given === 'string' ? given : defaultDirectory;
    if (given !== undefined && !existsSync(dir))
      throw new ServiceError('NotFound', `no directory ${dir}`);
    const problems = (
      await Promise.all(configurations.map((source) => problemsOf({ ...source, dir })))
    ).flat();
    if (options['json'] === true) print(formatJson(problems));
    else if (problems.length === 0) print(`the configuration in ${dir} is good`);
    else for (const problem of problems) print(printable(formatProblem(problem)));
    return problems.length === 0 ? exitCodes.ok : exitCodes.configuration;
  },
};

async function problemsOf(source: ConfigSource<unknown>): Promise<ConfigError['problems']> {
  try {
    await loadConfig(source);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}
