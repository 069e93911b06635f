/** Judges what modules.yaml says of the agent, as the runtime does when it makes its container. */
import { quoted } from '../../quoted.ts';
import { type ParseContext, parseAt } from '../../service/config/parse-context.ts';
import { cgroupVersion } from '../docker/confinement/engine-defaults.ts';
import { type JudgedBy, reachReasons } from '../docker/confinement/judged.ts';
import { createOptionsValidator } from '../docker/confinement/misfit.ts';
import { type ModuleSettings, parseSettings } from '../docker/create-options/create-options.ts';

/** What the agent is judged by. */
export type AgentRules = JudgedBy['config'] & { readonly allowElevated: boolean };

const optionsPath = ['agent', 'config', 'createOptions'];

/** Reports what is wrong with the agent, and warns of what it may not have. */
export function judgeAgent(
  { config, env }: { readonly config: object; readonly env: Readonly<Record<string, unknown>> },
  rules: AgentRules,
  context: Pick<ParseContext, 'report' | 'warnAt'>,
): void {
  for (const name of Object.keys(env)) {
    if (name !== '' && !/[=\0]/.test(name)) continue;
    context.report(['agent', 'env', name], `${quoted(name)} is no name of a variable`);
  }
  const { createOptions, ...others } = { createOptions: undefined, ...config };
  const isGood = parseAt(context, ['agent', 'config'], () => parseSettings(others)) !== undefined;
  const options = parseAt(context, optionsPath, () => parseSettings({ image: 'a', createOptions }));
  if (isGood && options !== undefined) judgeReach(options, rules, context);
}

/** What the agent may not have keeps it from running, and nothing else. */
function judgeReach(
  settings: ModuleSettings,
  config: AgentRules,
  context: Pick<ParseContext, 'report' | 'warnAt'>,
): void {
  if (config.allowElevated || Object.keys(settings.createOptions).length === 0) return;
  const by = { config, validate: createOptionsValidator(), cgroupVersion: cgroupVersion() };
  for (const reason of parseAt(context, optionsPath, () => reachReasons(by, settings)) ?? []) {
    context.warnAt(optionsPath, `the agent will not run without allow_elevated: ${reason}`);
  }
}
