import {
  type CertificatesConfig,
  certificatesSchema,
  parseCertificatesConfig,
} from '../../certificates/config/config.ts';
import type { ServiceDefinition } from '../../dbus/definition.ts';
import {
  type IdentityConfig,
  identitySchema,
  parseIdentityConfig,
} from '../../identity/config/config.ts';
import { certificatesService } from '../../interfaces/certificates.ts';
import { identityService } from '../../interfaces/identity.ts';
import { keysService } from '../../interfaces/keys.ts';
import { modulesService } from '../../interfaces/modules.ts';
import { type KeysConfig, keysSchema, parseKeysConfig } from '../../keys/config/config.ts';
import {
  type ModulesConfig,
  modulesSchema,
  parseModulesConfig,
} from '../../modules/config/config.ts';
import { withoutSecrets } from '../../quoted.ts';
import { type CommonConfig, serviceUsers } from '../../service/config/common-config.ts';
import { type ConfigSource, type PlacedConfig, placedConfig } from '../../service/config/config.ts';
import { ConfigError, formatProblem, type Problem } from '../../service/config/config-problem.ts';
import { type CommandContext, exitCodes } from '../command.ts';
import { thisUser } from '../config-directory.ts';
import { formatJson, printable } from '../output.ts';
import type { Configurations } from './configurations.ts';
import { crossCheck } from './cross-check.ts';
import { findUser, obstacleTo } from './file-access.ts';

// in this bundle for the other commands that read YAML
export { parseYaml } from '../../service/config/yaml.ts';

/** The findings in the files of one service, or of all. */
export interface Findings {
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
  /** Problems of files that this process cannot access. */
  readonly denied: readonly Problem[];
}

interface Checked<T> extends Findings {
  /** Undefined when it is invalid, or not readable as a whole. */
  readonly placed: PlacedConfig<T> | undefined;
}

/** `iotedgectl config check` on a directory: prints what it finds and returns the exit code. */
export async function runCheck(
  dir: string,
  { options, print }: Pick<CommandContext, 'options' | 'print'>,
): Promise<number> {
  const found = await checkConfigurations(dir);
  if (options['json'] === true) print(formatJson(inJson(found)));
  else printFindings(found, dir, print);
  return exitCodeOf(found);
}

/** The exit code that the findings mean. */
export function exitCodeOf({ problems, denied }: Findings): number {
  if (problems.length > 0) return exitCodes.configuration;
  return denied.length > 0 ? exitCodes.notAuthorized : exitCodes.ok;
}

/**
 * Checks the files of all services. It throws no ServiceError: this is a bundle of its own, with another class of that
 * name.
 */
export async function checkConfigurations(
  dir: string,
): Promise<Findings & { readonly placed: Configurations }> {
  const [keys, certificates, identity, modules] = await Promise.all([
    check<KeysConfig>(dir, keysService, { schema: keysSchema, parse: parseKeysConfig }),
    check<CertificatesConfig>(dir, certificatesService, {
      schema: certificatesSchema,
      parse: parseCertificatesConfig,
    }),
    check<IdentityConfig>(dir, identityService, {
      schema: identitySchema,
      parse: parseIdentityConfig,
    }),
    check<ModulesConfig>(dir, modulesService, {
      schema: modulesSchema,
      parse: parseModulesConfig,
    }),
  ]);
  const placed = {
    keys: keys.placed,
    certificates: certificates.placed,
    identity: identity.placed,
    modules: modules.placed,
  };
  const users = await Promise.all(serviceUsers.map(findUser));
  const across = crossCheck(placed, (name) => users.find((user) => user?.name === name)?.uid);
  const each: readonly Findings[] = [keys, certificates, identity, modules];
  return {
    problems: [...each.flatMap(({ problems }) => problems), ...across.problems],
    warnings: [...each.flatMap(({ warnings }) => warnings), ...across.warnings],
    denied: each.flatMap(({ denied }) => denied),
    placed,
  };
}

async function check<T extends CommonConfig>(
  dir: string,
  definition: ServiceDefinition,
  program: Pick<ConfigSource<T>, 'schema' | 'parse'>,
): Promise<Checked<T>> {
  const { name: service } = definition;
  const warnings: Problem[] = [];
  try {
    const placed = await placedConfig({
      ...program,
      dir,
      service,
      definition,
      warn: (warning) => void warnings.push(warning),
    });
    const problems = await unreadable(service, placed.sources);
    return { problems, warnings, denied: [], placed };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const denied = error.problems.filter((problem) => problem.denied === true);
    const problems = error.problems.filter((problem) => problem.denied !== true);
    return { problems, warnings, denied, placed: undefined };
  }
}

/** The files that this process can read and the service's user cannot. */
async function unreadable(
  service: string,
  sources: PlacedConfig<unknown>['sources'],
): Promise<readonly Problem[]> {
  const reader = await findUser(`iotedge-${service}`);
  if (reader === undefined) return [];
  const found = sources.map(async ({ path: file }): Promise<readonly Problem[]> => {
    const obstacle = await obstacleTo(reader, file);
    if (obstacle === undefined) return [];
    const what = obstacle === file ? 'it' : `what is in ${obstacle}`;
    const message = `the service cannot read ${what}, as user ${reader.name}: it would not start`;
    return [{ file, line: 1, column: 1, path: '', message }];
  });
  return (await Promise.all(found)).flat();
}

/** Prints the findings as text. */
export function printFindings(
  { problems, warnings, denied }: Findings,
  dir: string,
  print: (text: string) => void,
): void {
  printWarnings(warnings, print);
  for (const problem of problems) print(printable(formatProblem(problem)));
  for (const { file } of denied) {
    print(shown(`not checked: ${file} could not be read as ${thisUser()}`));
  }
  if (problems.length > 0) return;
  if (denied.length > 0) print('what could be read is good');
  else print(shown(`the configuration in ${dir} is good`));
}

/** Prints settings that are valid but may be mistakes. */
export function printWarnings(warnings: readonly Problem[], print: (text: string) => void): void {
  for (const warning of warnings) print(printable(`warning: ${formatProblem(warning)}`));
}

/** A text that contains a directory name, which is untrusted. */
function shown(text: string): string {
  return printable(withoutSecrets(text));
}

/** The findings for programs. */
export function inJson({ problems, warnings, denied }: Findings): readonly object[] {
  const as = (severity: string) => (finding: Problem) => ({
    severity,
    ...finding,
    file: withoutSecrets(finding.file),
  });
  return [
    ...problems.map(as('error')),
    ...warnings.map(as('warning')),
    ...denied.map(as('not-checked')),
  ];
}
