import { describeError, isServiceError } from '../../errors.ts';
import { type ModuleName, parseModuleName } from '../../ids.ts';
import type { Log } from '../../service/log/log.ts';
import type { ModuleType } from '../supervisor/module-type.ts';
import type { Records } from './records.ts';

/** Where agents are looked for that have no record. */
export interface FormerAgentsOptions {
  readonly type: Pick<ModuleType, 'list' | 'inspect'>;
  readonly records: Pick<Records, 'has' | 'modules'>;
  /** The directory of the modules' sockets. */
  readonly socketsPath: string;
  /** Whether a module of this name exists. */
  readonly isKnown: (name: string) => boolean;
  readonly log: Log;
}

/**
 * The agents that earlier versions of this service ran, which recorded none: modules.yaml may name another one since. An
 * instance is one of them when it was given the directory of our sockets, as agents alone are: those of another service on
 * the same engine are left alone, as is every instance whose record is unreadable. Never rejects.
 */
export async function unrecordedAgents(
  { type, records, socketsPath, isKnown, log }: FormerAgentsOptions,
  signal: AbortSignal,
): Promise<readonly ModuleName[]> {
  if (records.modules.failure !== undefined) return [];
  const found: ModuleName[] = [];
  try {
    for (const text of await type.list(signal)) {
      const name = nameOf(text);
      if (name === undefined || isKnown(name) || records.has(name)) continue;
      const instance = await type.inspect(name, signal);
      if (instance?.ours === true && instance.agentSockets === socketsPath) found.push(name);
    }
  } catch (error) {
    // the engine was lost, or the service stops: they are listed again when it is back
    log.debug('former agents not listed', { error: describeError(error) });
  }
  return found;
}

function nameOf(text: string): ModuleName | undefined {
  try {
    return parseModuleName(text);
  } catch (error) {
    if (isServiceError(error)) return undefined; // no module has that name
    throw error;
  }
}
