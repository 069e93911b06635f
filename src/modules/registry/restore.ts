import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ServiceError } from '../../errors.ts';
import type { ModuleName } from '../../ids.ts';
import { DamagedFile, openStateDirectory } from '../../service/state/state-file.ts';
import { removeSocketDirectory } from '../api/http/socket.ts';
import type { AgentConfig } from '../config/agent-config.ts';
import {
  type ModuleSettings,
  memberObject,
  parseSettings,
} from '../docker/create-options/create-options.ts';
import { agentLabels } from '../docker/labels.ts';
import { type ModuleSource, sourceDigest } from '../module-source.ts';
import { isAbsence, type SavedState } from '../supervisor/desired-state.ts';
import { retired, revived, superseded } from './reconfigured.ts';
import type { ModuleRecord, Records } from './records.ts';
import type { RestoreErrors } from './restore-errors.ts';

/** Where modules are restored from when the service starts. */
export interface RestoreOptions {
  readonly agent: AgentConfig | undefined;
  readonly records: Records;
  readonly socketsPath: string;
  readonly problems: RestoreErrors;
}

/** A module of the previous process. */
export interface RestoredModule {
  readonly source: ModuleSource;
  readonly state: SavedState;
}

/** Of a former agent, which has no settings but those that modules.yaml had. */
const unknownSettings = parseSettings({ image: 'unknown' });

/** Every persisted module, and the agent; socket directories of other modules are removed. */
export async function restoreModules(from: RestoreOptions): Promise<readonly RestoredModule[]> {
  const { agent, records, socketsPath, problems } = from;
  const { modules } = records;
  for (const file of modules.damaged.values()) problems.file(file);
  if (modules.failure !== undefined) problems.file(modules.failure);
  const { failure } = await openStateDirectory(socketsPath);
  if (failure !== undefined) problems.file(failure);
  else if (modules.failure === undefined) {
    await removeOrphans(socketsPath, new Set<string | undefined>([...modules.ids(), agent?.name]));
  }
  const others = modules.values().filter(({ name }) => name !== agent?.name);
  const known = others.map(moduleOf);
  return agent === undefined ? known : [...known, ...agentOf(agent, records, problems)];
}

/** The agent of a configuration; none, and a problem, when its settings are invalid. */
export async function restoreAgent(
  agent: AgentConfig,
  records: Pick<Records, 'modules'>,
  problems: RestoreErrors,
): Promise<readonly RestoredModule[]> {
  await records.modules.retry([agent.name]);
  return agentOf(agent, records, problems);
}

/** The record of a module; of the agent only its desired state: the rest is in modules.yaml, unless it has replaced that. */
export function recordOf(
  source: ModuleSource,
  state: SavedState,
  agent: AgentConfig | undefined,
): ModuleRecord {
  const { name, settings, env, elevated, base } = source;
  if (base !== undefined) return { name, state, settings, env, elevated, base };
  return name === agent?.name
    ? { name, state, settings: undefined, env: {}, elevated: false }
    : { name, state, settings, env, elevated };
}

/** The key of the published digests; no digests are published without it. */
export async function readDigestKey(
  records: Records,
  problems: RestoreErrors,
): Promise<Buffer | undefined> {
  try {
    return await records.digestKey();
  } catch (error) {
    if (!(error instanceof DamagedFile)) throw error;
    problems.file(error);
    return undefined;
  }
}

/** A module that is not the agent; a former agent is to be removed. */
function moduleOf({ name, settings, env, elevated, base, state }: ModuleRecord): RestoredModule {
  if (settings !== undefined && base === undefined) {
    return { source: { name, settings, env, elevated }, state };
  }
  const source = { name, settings: settings ?? unknownSettings, env, elevated, base: base ?? '' };
  return retired({ source, state });
}

/** An agent that only an earlier version ran, which recorded none: it is to be removed. */
export function unrecordedAgent(name: ModuleName): RestoredModule {
  const state = { goal: 'started' } as const;
  return moduleOf({ name, state, settings: undefined, env: {}, elevated: false });
}

function agentOf(
  agent: AgentConfig,
  { modules }: Pick<Records, 'modules'>,
  problems: RestoreErrors,
): readonly RestoredModule[] {
  const { name } = agent;
  const record = modules.get(name);
  const state: SavedState = record?.state ?? { goal: 'started' };
  try {
    refuseTakenAgent(agent, { modules });
    const configured = configuredAgent(agent);
    const base = sourceDigest(configured);
    if (isAbsence(state.goal)) return [revived(state, configured)];
    if (record?.settings !== undefined && record.base === base) {
      const { settings, env, elevated } = record;
      return [{ source: { name, settings, env, elevated, base }, state: record.state }];
    }
    // one of a configuration that modules.yaml has no more ends with it
    const { update } = state;
    const isSame = record?.base === undefined && (update?.other.base ?? base) === base;
    return [isSame ? { source: configured, state } : superseded(state, configured)];
  } catch (error) {
    problems.module(name, error);
    return [];
  }
}

/** Whether a call has created the module of that name: it is not the agent, whatever modules.yaml says. */
export function isCreatedByCall(name: ModuleName, { modules }: Pick<Records, 'modules'>): boolean {
  const record = modules.get(name);
  return record?.settings !== undefined && record.base === undefined;
}

/**
 * InvalidArgs when a call has created a module with the name of the agent: its container would get the management socket,
 * and it may be that of a user who may not manage others.
 */
export function refuseTakenAgent(
  { name }: Pick<AgentConfig, 'name'>,
  records: Pick<Records, 'modules'>,
): void {
  if (!isCreatedByCall(name, records)) return;
  const text = `agent.name: module ${JSON.stringify(name)} exists and is not the agent: name the agent otherwise, or delete that module while modules.yaml does not name it`;
  throw new ServiceError('InvalidArgs', text);
}

/** The agent of modules.yaml, or InvalidArgs. */
export function configuredAgent({ name, config, env }: AgentConfig): ModuleSource {
  return { name, settings: withLabels(parseSettings(config)), env, elevated: true };
}

/** The agent reads its own configuration from labels of its container; a first one has none. */
function withLabels(settings: ModuleSettings): ModuleSettings {
  const { createOptions } = settings;
  const labels = { ...agentLabels, ...memberObject(createOptions, 'Labels') };
  return { ...settings, createOptions: { ...createOptions, Labels: labels } };
}

/** Removes directories of modules whose creation was interrupted before it was persisted. */
async function removeOrphans(socketsPath: string, known: ReadonlySet<string | undefined>) {
  for (const name of await readdir(socketsPath)) {
    if (!known.has(name)) await removeSocketDirectory(join(socketsPath, name));
  }
}
