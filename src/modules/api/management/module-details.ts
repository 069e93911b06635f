import { detailsOf, type ModuleSummary } from '../module-list.ts';
import type { SentSpec } from './module-spec.ts';

/** The response to `GET /modules`: with the labels in which an agent keeps its configuration, and without environments. */
export function managedModules(modules: readonly ModuleSummary[]): object {
  return { modules: modules.map(managedModule) };
}

/** The response to `GET /modules/{name}`. */
export function managedModule(module: ModuleSummary): object {
  return detailsOf(module, module.labels);
}

/** The response to the creation of a module: its settings and environment as they were sent, without secrets. */
export function sentModule(
  { name, type, settings, env = [] }: SentSpec,
  status: 'running' | 'stopped',
): object {
  return {
    id: 'id',
    name,
    type,
    config: { settings: withoutAuth(settings), env },
    status: { runtimeStatus: { status } },
  };
}

function withoutAuth(settings: unknown): object {
  const members = typeof settings === 'object' && settings !== null ? settings : {};
  return Object.fromEntries(Object.entries(members).filter(([key]) => key !== 'auth'));
}
