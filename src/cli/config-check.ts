import { existsSync } from 'node:fs';
import { certificatesSchema, parseCertificatesConfig } from '../certificates/config.ts';
import { ServiceError } from '../errors.ts';
import { identitySchema, parseIdentityConfig } from '../identity/config.ts';
import { keysSchema, parseKeysConfig } from '../keys/config.ts';
import { modulesSchema, parseModulesConfig } from '../modules/config.ts';
import {
  type CommonConfig,
  ConfigError,
  type ConfigSource,
  formatProblem,
  loadConfig,
  type Problem,
} from '../service/config.ts';
import { type Command, exitCodes } from './command.ts';
import { formatJson, printable } from './output.ts';

const defaultDirectory = '/etc/iotedge';

interface Findings {
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

const configurations: readonly Omit<ConfigSource<CommonConfig>, 'dir'>[] = [
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
    const found = await Promise.all(configurations.map((source) => check({ ...source, dir })));
    const problems = found.flatMap((one) => one.problems);
    const warnings = found.flatMap((one) => one.warnings);
    if (options['json'] === true) {
      print(formatJson([...withSeverity('error', problems), ...withSeverity('warning', warnings)]));
    } else {
      for (const warning of warnings) print(printable(`warning: ${formatProblem(warning)}`));
      for (const problem of problems) print(printable(formatProblem(problem)));
      if (problems.length === 0) print(`the configuration in ${dir} is good`);
    }
    return problems.length === 0 ? exitCodes.ok : exitCodes.configuration;
  },
};

function withSeverity(
  severity: 'error' | 'warning',
  findings: readonly Problem[],
): readonly object[] {
  return findings.map((finding) => ({ severity, ...finding }));
}

async function check(source: ConfigSource<CommonConfig>): Promise<Findings> {
  const warnings: Problem[] = [];
  try {
    await loadConfig({ ...source, warn: (warning) => void warnings.push(warning) });
    return { problems: [], warnings };
  } catch (error) {
    if (error instanceof ConfigError) return { problems: error.problems, warnings };
    throw error;
  }
}
