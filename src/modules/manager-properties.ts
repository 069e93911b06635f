import type { Properties } from '../dbus/definition.ts';
import type { modulesInterface } from '../interfaces/modules.ts';
import { joined, problemOf } from './module-properties.ts';
import type { EngineStatus } from './supervisor/engine-monitor.ts';
import type { ModuleStatus } from './supervisor/goal.ts';

/** What the properties of the manager are made from. */
export interface ManagerView {
  readonly engine: EngineStatus;
  /** What is wrong with what was there at the start. */
  readonly problems: readonly string[];
  /** The agent, if it is there: its problems are the device's. */
  readonly agent: { readonly name: string; readonly status: ModuleStatus } | undefined;
}

/** The values of org.iotedge.Modules1 that change with the engine and the agent. */
export function managerProperties({
  engine,
  problems,
  agent,
}: ManagerView): Omit<Properties<typeof modulesInterface>, 'Version' | 'Agent'> {
  const { name, version, reachable, error } = engine;
  // that nobody can look at the agent is said by what is wrong with the engine
  const isSaid = error !== '' && agent?.status.known === false;
  const agentProblem = agent === undefined || isSaid ? '' : problemOf(agent.status);
  const all = [
    ...(error === '' ? [] : [error]),
    ...problems,
    ...(agent === undefined || agentProblem === ''
      ? []
      : [`module ${JSON.stringify(agent.name)}: ${agentProblem}`]),
  ];
  return {
    Engine: { name, version, reachable },
    Health: all.length === 0 ? 'ok' : 'degraded',
    LastError: joined(all),
  };
}
