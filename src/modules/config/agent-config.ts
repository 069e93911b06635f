/** The agent in modules.yaml, with the same checks as when its container is created. */
import { type ModuleName, parseModuleName } from '../../ids.ts';
import { quoted } from '../../quoted.ts';
import { type ParseContext, parseAt } from '../../service/config/parse-context.ts';
import {
  type ConfinementContext,
  settingsElevationReasons,
} from '../docker/confinement/confined-options.ts';
import { cgroupVersion } from '../docker/confinement/engine-defaults.ts';
import { createOptionsValidator } from '../docker/confinement/policy-violation.ts';
import { type ModuleSettings, parseSettings } from '../docker/create-options/create-options.ts';

/** The module that manages the others. */
export interface AgentConfig {
  readonly name: ModuleName;
  readonly type: 'docker';
  /** The `settings` of ModuleSpec. */
  readonly config: unknown;
  readonly env: Readonly<Record<string, string>>;
}

/** The setting, valid by the schema but not yet parsed. */
export interface RawAgent {
  readonly name: string;
  readonly type: 'docker';
  readonly config: object;
  readonly env: Readonly<Record<string, string>>;
}

const text = { type: 'string', minLength: 1 } as const;

/** JSON schema of the setting. */
export const agentSchema = {
  description: 'The module that manages the others. Without it only D-Bus callers do.',
  type: 'object',
  additionalProperties: false,
  required: ['config'],
  properties: {
    name: { description: 'Its name.', ...text, default: 'edgeAgent' },
    type: { description: 'What runs it.', type: 'string', enum: ['docker'], default: 'docker' },
    config: {
      description: 'Its container.',
      type: 'object',
      additionalProperties: false,
      required: ['image'],
      properties: {
        image: { description: 'Image reference.', ...text },
        createOptions: {
          description: "The engine's create request, as an object or as its JSON text.",
          type: ['object', 'string'],
        },
        digest: { description: 'What the image must be: sha256:….', type: 'string' },
        imagePullPolicy: {
          description: 'When the registry is asked for the image: on-create or never.',
          type: 'string',
        },
        restart_policy: {
          description: 'When it starts again: always, on-failure, on-unhealthy or never.',
          type: 'string',
        },
        start_after: {
          description: 'The modules that start before it.',
          type: 'array',
          items: { type: 'string' },
        },
        aliases: {
          description: 'Names on the network besides its own.',
          type: 'array',
          items: { type: 'string' },
        },
        auth: {
          description: 'Credentials for the registry.',
          type: 'object',
          additionalProperties: false,
          properties: {
            serveraddress: { description: 'Host of the registry.', type: 'string' },
            username: { description: 'User name.', type: 'string' },
            password: { description: 'Password.', type: 'string' },
            email: { description: 'Mail address.', type: 'string' },
          },
        },
      },
    },
    env: {
      description: 'Environment of the agent: numbers and the like keep the text of the file.',
      type: 'object',
      textValues: true,
      additionalProperties: { type: ['string', 'number', 'boolean'] },
      default: {},
    },
  },
} as const;

/** Parses the agent; undefined when there is none, or its name is invalid. */
export function parseAgent(
  raw: RawAgent | undefined,
  context: Pick<ParseContext, 'report'>,
): AgentConfig | undefined {
  if (raw === undefined) return undefined;
  const name = parseAt(context, ['agent', 'name'], () => parseModuleName(raw.name));
  if (name === undefined) return undefined;
  return { name, type: raw.type, config: raw.config, env: raw.env };
}

/** The configuration that the agent is checked against. */
export type AgentRules = ConfinementContext['config'] & { readonly allowElevated: boolean };

const optionsPath = ['agent', 'config', 'createOptions'];

/** Reports errors of the agent, and warns of options that it is not allowed. */
export function checkAgent(
  { config, env }: { readonly config: object; readonly env: Readonly<Record<string, unknown>> },
  rules: AgentRules,
  context: Pick<ParseContext, 'report' | 'warnAt'>,
): void {
  for (const name of Object.keys(env)) {
    if (name !== '' && !/[=\0]/.test(name)) continue;
    context.report(['agent', 'env', name], `${quoted(name)} is not a variable name`);
  }
  const { createOptions, ...others } = { createOptions: undefined, ...config };
  const isGood = parseAt(context, ['agent', 'config'], () => parseSettings(others)) !== undefined;
  const options = parseAt(context, optionsPath, () => parseSettings({ image: 'a', createOptions }));
  if (isGood && options !== undefined) checkReach(options, rules, context);
}

/** Only warns of options that the agent is not allowed: they prevent only the agent from running. */
function checkReach(
  settings: ModuleSettings,
  config: AgentRules,
  context: Pick<ParseContext, 'report' | 'warnAt'>,
): void {
  if (config.allowElevated || Object.keys(settings.createOptions).length === 0) return;
  const by = { config, validate: createOptionsValidator(), cgroupVersion: cgroupVersion() };
  for (const reason of parseAt(context, optionsPath, () =>
    settingsElevationReasons(by, settings),
  ) ?? []) {
    context.warnAt(optionsPath, `the agent will not run without allow_elevated: ${reason}`);
  }
}
