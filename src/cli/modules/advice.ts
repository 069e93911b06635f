import type { ModuleView } from './module-view.ts';

/** What to do about a module, `` when there is nothing to do. */
export function adviceOn(module: ModuleView): string {
  const { name, state, operation, startedAt, lastError } = module;
  const log = `'iotedgectl modules logs --tail 20 ${name}' shows what it wrote last`;
  if (operation !== '')
    return `${operation} is in progress: 'iotedgectl modules cancel ${name}' ends it`;
  switch (state) {
    case 'failed':
      // the properties do not tell whether it has a container
      return startedAt === 0
        ? `once the cause is removed, 'iotedgectl modules start ${name}' starts it, and 'iotedgectl modules update ${name}' changes it; if they say that it was not created, 'iotedgectl modules delete ${name}' comes first, then it is created again`
        : `${log}; 'iotedgectl modules start ${name}' starts it again`;
    case 'backoff':
      return startedAt === 0
        ? 'the runtime starts it by itself once the cause is removed'
        : `the runtime starts it again by itself; ${log}`;
    case 'unknown':
      return `'iotedgectl status' shows whether the container engine is reachable`;
    case 'created':
    case 'stopped':
      return `'iotedgectl modules start ${name}' starts it`;
    default:
      return lastError === '' ? '' : `it runs all the same: remove the cause; ${log}`;
  }
}
