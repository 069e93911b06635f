/**
 * The life of a service process:
 *
 *   configuration ─► connect ─► start ─► export objects ─► request the name ─► serve
 *     │ 78                                                     SIGTERM, idle │  │ bus lost
 *     ▼                                                                      ▼  ▼ 1
 *   end                0 ◄─ flush ◄─ clean up ◄─ drain calls ◄─ release the name
 *
 * Any other end is a failure, so the exit code is 1 until the stop was orderly.
 */
import { writeFileSync } from 'node:fs';
import { Bus, systemBusAddress } from '../dbus/bus.ts';
import type { ServiceDefinition } from '../dbus/definition.ts';
import { interfaceXml, introspectionXml } from '../dbus/introspect.ts';
import { describeError, systemCode } from '../errors.ts';
import { journalSend } from '../native/linux.ts';
import { SystemAccounts } from './accounts.ts';
import { helpText, parseCommandLine, stateDirOf, UsageError } from './command-line.ts';
import type { CommonConfig } from './config/common-config.ts';
import { placedConfig } from './config/config.ts';
import { ConfigError, formatProblem, type Problem } from './config/config-problem.ts';
import type { ParseContext } from './config/parse-context.ts';
import type { Schema } from './config/schema-validator.ts';
import { isJournalStream, journalWriter } from './log/journal.ts';
import { priorityOf, ServiceLog } from './log/log.ts';
import { sinkOf } from './log/sink.ts';
import { standardErrorWriter } from './log/standard-error.ts';
import type { LoadedConfig } from './reload/apply-config.ts';
import { runService } from './service-lifecycle.ts';
import type { ServiceProgram } from './service-program.ts';
import { openStateDirectory } from './state/state-file.ts';
import { takeManagerEnvironment } from './systemd/manager-environment.ts';
import { systemdNotifier } from './systemd/notifications.ts';
import { SystemdSockets } from './systemd/sockets.ts';
import { startWatchdog } from './systemd/watchdog.ts';

/** A service with its configuration schema and parser. */
export interface Program<S extends ServiceDefinition, C extends CommonConfig>
  extends ServiceProgram<S, C> {
  readonly schema: Schema;
  readonly parse: (value: unknown, context: ParseContext) => C;
}

/** State of the handlers for unexpected failures. */
interface Crash {
  log: ServiceLog | undefined;
}

const exitCode = { stopped: 0, failed: 1, usage: 2, configuration: 78 } as const;
const version = process.env['IOTEDGE_VERSION'] ?? 'development';

/** Runs the command that this process's arguments request, and ends the process. */
export async function main<S extends ServiceDefinition, C extends CommonConfig>(
  program: Program<S, C>,
): Promise<void> {
  process.exitCode = exitCode.failed;
  // without a listener Node opens its debugger, to every local user
  process.on('SIGUSR1', () => undefined);
  const crash: Crash = { log: undefined };
  process.on('uncaughtException', (error) => end(crash, error));
  process.on('unhandledRejection', (error) => end(crash, error));
  process.exit(await obey(program, crash));
}

async function obey<S extends ServiceDefinition, C extends CommonConfig>(
  program: Program<S, C>,
  crash: Crash,
): Promise<number> {
  try {
    const command = parseCommandLine(process.argv.slice(2));
    switch (command.kind) {
      case 'help':
        return print(helpText(program.service));
      case 'version':
        return print(`${version}\n`);
      case 'introspect':
        return print(introspection(program.service));
      case 'serve':
        return await serveFrom(program, command, crash);
    }
  } catch (error) {
    return explainFailure(program.service, error, crash);
  }
}

/** Throws when writing fails, unless the reader has closed the pipe. */
function print(text: string): number {
  try {
    writeFileSync(process.stdout.fd, text);
  } catch (error) {
    if (systemCode(error) !== 'EPIPE') throw error;
  }
  return exitCode.stopped;
}

async function serveFrom<S extends ServiceDefinition, C extends CommonConfig>(
  program: Program<S, C>,
  directories: { readonly configDir: string; readonly stateDir: string | undefined },
  crash: Crash,
): Promise<number> {
  const { service, schema, parse } = program;
  const manager = takeManagerEnvironment(process.env);
  const dir = directories.configDir;
  const onReloadRequest = hangUps();
  const load = async (): Promise<LoadedConfig<C> & { readonly warnings: readonly Problem[] }> => {
    const warnings: Problem[] = [];
    const warn = (warning: Problem): void => void warnings.push(warning);
    const accounts = new SystemAccounts({ getent: true });
    const about = { service: service.name, definition: service, schema, parse };
    const source = { dir, ...about, warn, accounts };
    const { config, digest } = await placedConfig(source);
    return { config, digest, loadedAt: new Date(), accounts, warnings };
  };
  const { warnings, ...loaded } = await load();
  const { config } = loaded;
  const log = openLog(service.name, config);
  crash.log = log;
  logWarnings(log, warnings);
  const notify = systemdNotifier(manager, { log });
  const stop = stopOnSignals();
  const stateDir = stateDirOf(service.name, {
    commandLine: directories.stateDir,
    config,
    environment: process.env,
  });
  const { failure } = await openStateDirectory(stateDir);
  // calls that do not need it are served: each store reports its own failure
  if (failure !== undefined) log.error('state directory unusable', { error: failure.message });
  const bus = await Bus.connect(systemBusAddress(), {
    onStall: (isOver) => reportStall(log, isOver),
  });
  using _watchdog = startWatchdog(manager, { bus, notify, log });
  const loadAgain = async (): Promise<LoadedConfig<C>> => {
    const again = await load();
    logWarnings(log, again.warnings);
    return again;
  };
  const served = runService(program, {
    ...loaded,
    bus,
    stateDir,
    runtimeDir: process.env['RUNTIME_DIRECTORY']?.split(':')[0] || undefined,
    log,
    version,
    notify,
    sockets: new SystemdSockets(manager, { notify, log }),
    stop,
    loadConfig: loadAgain,
    onReloadRequest,
  });
  const lost = await Promise.race([served.then(() => undefined), bus.closed.then(lostBus)]);
  if (lost !== undefined) throw lost;
  await bus.close();
  await log[Symbol.asyncDispose]();
  return exitCode.stopped;
}

/** A bus that accepts no messages is usually full of replies that clients do not read. */
function reportStall(log: ServiceLog, isOver: boolean): void {
  if (isOver) log.warn('bus accepts messages again');
  else log.warn('bus accepts no messages, replies are held: look for clients that do not read');
}

function lostBus(cause: Error | undefined): Error {
  return new Error('the connection to the bus is lost', { cause });
}

function openLog(name: string, config: CommonConfig): ServiceLog {
  const identifier = `iotedge-${name}`;
  const level = priorityOf(config.log_level);
  const target = isJournalStream(process.env['JOURNAL_STREAM']) ? 'journal' : 'console';
  const lines = standardErrorWriter();
  const journal = sinkOf([journalWriter(journalSend, identifier), lines]);
  const sinks = { console: sinkOf([lines]), journal };
  return new ServiceLog({ identifier, level, target, sinks });
}

function logWarnings(log: ServiceLog, warnings: readonly Problem[]): void {
  for (const { file, line, path: setting, message: warning } of warnings) {
    log.warn('configuration warning', { file, line, setting, warning });
  }
}

/** SIGHUP requests a reload from now on; requests before a listener exists are queued. */
function hangUps(): (listener: () => void) => void {
  let early = 0;
  let request = (): void => void early++;
  process.on('SIGHUP', () => request());
  return (listener) => {
    request = listener;
    for (; early > 0; early--) listener();
  };
}

/** Aborted by the first signal; a second one ends the process immediately, as a failure. */
function stopOnSignals(): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(exitCode.failed);
      stop.abort();
    });
  }
  return stop.signal;
}

function explainFailure(service: ServiceDefinition, error: unknown, { log }: Crash): number {
  if (error instanceof UsageError) {
    process.stderr.write(`iotedge-${service.name}: ${error.message}\n\n${helpText(service)}`);
    return exitCode.usage;
  }
  if (error instanceof ConfigError) {
    for (const problem of error.problems) explain(formatProblem(problem));
    return exitCode.configuration;
  }
  if (log === undefined) {
    explain(`iotedge-${service.name}: ${describeError(error)}`);
    return exitCode.failed;
  }
  log.error('service failed', { error: describeError(error) });
  log.flush();
  return exitCode.failed;
}

/** Prints why there is no service; the journal gets it as an error. */
function explain(line: string): void {
  const priority = isJournalStream(process.env['JOURNAL_STREAM']) ? '<3>' : '';
  process.stderr.write(`${priority}${line}\n`);
}

function end({ log }: Crash, error: unknown): never {
  const stack = error instanceof Error ? error.stack : undefined;
  const fields = { error: describeError(error), stack };
  if (log === undefined) {
    standardErrorWriter()({ priority: 'crit', message: 'unexpected failure', fields });
  } else {
    log.error('unexpected failure', fields);
    log.flush();
  }
  process.exit(exitCode.failed);
}

function introspection({ manager, child }: ServiceDefinition): string {
  return introspectionXml([interfaceXml(manager), interfaceXml(child.interface)]);
}
