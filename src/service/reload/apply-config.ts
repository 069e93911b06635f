import { realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { ServiceDefinition } from '../../dbus/definition.ts';
import type { Server } from '../../dbus/server/serve.ts';
import { describeError, ServiceError } from '../../errors.ts';
import { type Accounts, SystemAccounts } from '../accounts.ts';
import type { Authorizations } from '../authorization/authorization.ts';
import { stateDirOf } from '../command-line.ts';
import type { CommonConfig } from '../config/common-config.ts';
import { priorityOf, type ServiceLog } from '../log/log.ts';
import type { LogSettings } from '../log/log-settings.ts';
import type { Implementation, ServiceProgram, StartedService } from '../service-program.ts';

/** A configuration as read from its files. */
export interface LoadedConfig<C> {
  readonly config: C;
  /** Where the users and groups of its rules are looked up. */
  readonly accounts: Accounts;
  /** Of the files. */
  readonly digest: string;
  readonly loadedAt: Date;
}

/** The parts of a service that a configuration changes, and the initial configuration. */
export interface ConfiguredParts<S extends ServiceDefinition, C extends CommonConfig> {
  readonly program: ServiceProgram<S, C>;
  readonly started: StartedService<S, C>;
  readonly config: C;
  readonly server: Server<S>;
  readonly authorizations: Authorizations;
  readonly log: ServiceLog;
  readonly logSettings: LogSettings;
}

/** Applies configurations one after the other: first every step that can fail, then the switch as a whole. */
export function configApplier<S extends ServiceDefinition, C extends CommonConfig>(
  {
    program,
    started,
    config: first,
    server,
    authorizations,
    log,
    logSettings,
  }: ConfiguredParts<S, C>,
  onApplied: (loaded: LoadedConfig<C>) => void,
): (loaded: LoadedConfig<C>) => Promise<void> {
  let inForce = first;
  let implementation: Implementation<S> = started;
  return async (loaded) => {
    const { config, accounts } = loaded;
    await refuseFixed(program, inForce, config);
    const local = new SystemAccounts({ getent: false });
    const authorize = await authorizations.prepare(config, { accounts, local });
    const { retire, ...changed } = (await started.reload?.(config)) ?? {};
    implementation = { ...implementation, ...changed };
    const ended = server.replace({ ...implementation, authorizer: authorize() });
    if (config.log_level !== inForce.log_level) {
      log.level = priorityOf(config.log_level);
      void logSettings.discard();
    }
    inForce = config;
    onApplied(loaded);
    void ended.then(retire).catch((error: unknown) => {
      log.error('resources of the previous configuration not closed', {
        error: describeError(error),
      });
    });
  };
}

/** Throws for a configuration that changes settings fixed until a restart. */
async function refuseFixed<S extends ServiceDefinition, C extends CommonConfig>(
  { service, fixedSettings }: ServiceProgram<S, C>,
  before: C,
  after: C,
): Promise<void> {
  const fixed = async (config: C) => ({
    homedir_path: await stateDirectoryOf(service.name, config),
    ...fixedSettings?.(config),
  });
  const old = new Map<string, unknown>(Object.entries(await fixed(before)));
  const changed = Object.entries(await fixed(after))
    .filter(([name, value]) => !isDeepStrictEqual(value, old.get(name)))
    .map(([name]) => name);
  if (changed.length === 0) return;
  const text = `restart needed: ${changed.join(', ')} of ${service.name}.yaml changed`;
  throw new ServiceError('NotSupported', text);
}

/** The configured or default directory, with links resolved: the units make links for names of IoT Edge. */
async function stateDirectoryOf(name: string, config: CommonConfig): Promise<string> {
  const path = stateDirOf(name, { commandLine: undefined, config, environment: process.env });
  return realpath(path).catch(() => resolve(path)); // a missing one is created at the start
}
