import { isServiceError } from '../../../errors.ts';
import { type Command, exitCodes } from '../../command.ts';
import { adviceOn } from '../../modules/advice.ts';
import type { ModuleView } from '../../modules/module-view.ts';
import { moduleName, Runtime } from '../../modules/runtime.ts';
import { shownConfig } from '../../modules/shown-config.ts';
import { statusText } from '../../modules/status-text.ts';
import { formatJson, formatRecord, formatTime } from '../../output.ts';
import { passwordOption, withTerminalAgent } from '../../terminal-agent.ts';

/** `iotedgectl modules show`. */
export const modulesShow: Command = {
  words: 'modules show',
  summary: 'a module: its state, its configuration, its problem and what to do about it',
  about: `The state is shown to everybody. The configuration is shown to who may change it, without passwords and
without the values of environment variables.`,
  positionals: ['name'],
  options: passwordOption,
  async run(context) {
    const name = moduleName(context);
    const { options, print } = context;
    const runtime = await Runtime.connect(context);
    const module = await runtime.require(name);
    const config = await withTerminalAgent(context, () => configOf(runtime, name));
    if (options['json'] === true) {
      print(formatJson({ properties: module.whole, ...(config !== undefined && { config }) }));
      return exitCodes.ok;
    }
    print(formatRecord(recordOf(module)));
    if (config === undefined) print('\nthe configuration is not shown: you may not change modules');
    else print(`\nconfiguration:\n${formatJson(config)}`);
    return exitCodes.ok;
  },
};

/** The configuration of a module; undefined for a user who may not see it. */
async function configOf(runtime: Runtime, name: string): Promise<unknown> {
  try {
    const { config_json } = await runtime.call((methods, options) =>
      methods.GetConfig({ name, options: {} }, options),
    );
    return shownConfig(config_json);
  } catch (error) {
    if (isServiceError(error, 'AccessDenied')) return undefined;
    if (isServiceError(error, 'InteractiveAuthorizationRequired')) return undefined;
    throw error;
  }
}

function recordOf(module: ModuleView): Readonly<Record<string, string>> {
  const { progress, whole } = module;
  return {
    name: module.name,
    type: module.type,
    image: module.image,
    status: statusText(module, new Date()),
    state: module.state,
    operation: module.operation,
    progress:
      module.operation === '' ? '' : `${Math.round(progress * 100)}% ${module.progressText}`,
    'exit code': module.finishedAt === 0 ? '' : String(module.exitCode),
    started: formatTime(module.startedAt, 'seconds'),
    finished: formatTime(module.finishedAt, 'seconds'),
    restarts: String(module.restartCount),
    'last restart': module.restartReason,
    'config digest': module.configDigest,
    ...others(whole),
    problem: module.lastError,
    'what to do': adviceOn(module),
  };
}

/** Named above, or in the configuration. */
const shown = new Set([
  'Name',
  'Type',
  'Image',
  'State',
  'Operation',
  'ExitCode',
  'StartedAt',
  'FinishedAt',
  'RestartCount',
  'RestartReason',
  'Progress',
  'ProgressText',
  'LastError',
  'ConfigDigest',
  'CreateOptions',
]);

/** Properties that a newer service has. */
function others(whole: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(whole)
      .filter(([name]) => !shown.has(name))
      .map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}
