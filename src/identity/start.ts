import { join } from 'node:path';
import { serviceClient } from '../dbus/client/client.ts';
import type { HttpsClient } from '../https/https-client.ts';
import type { identityService } from '../interfaces/identity.ts';
import { keysService } from '../interfaces/keys.ts';
import { Cancellations } from '../service/operations/cancellations.ts';
import { PendingOperationFiles } from '../service/operations/pending-operation-files.ts';
import type { StartContext, StartedService } from '../service/service-program.ts';
import { StateDisk } from '../service/state/state-disk.ts';
import type { IdentityConfig } from './config/config.ts';
import { identityHandlers, identityResolvers } from './handlers.ts';
import { ModuleKeyring } from './hub/module-keys.ts';
import { CloudAccess } from './provisioners/cloud-access.ts';
import { IdentityService } from './service.ts';
import { IdentityState } from './state.ts';

/** Reserved for pending deletions while the disk is full. */
const reservedBytes = [4096, 4096, 4096, 4096];

/** Starts the Identity service; provisioning begins once the service owns its name. */
export async function startIdentity(
  context: StartContext<typeof identityService, IdentityConfig>,
  https: HttpsClient,
  random: () => number = Math.random,
): Promise<StartedService<typeof identityService, IdentityConfig>> {
  const { bus, cleanup, config, log, now, objects, signal, stateDir, version } = context;
  const state = await IdentityState.open(stateDir);
  const disk = cleanup.use(await StateDisk.open(stateDir, { reserve: reservedBytes }));
  const frees = new Set(['DeleteModuleIdentity']);
  const service = cleanup.use(
    await IdentityService.open({
      config,
      access: (one, listeners) => new CloudAccess(one, { bus, https, now, version, ...listeners }),
      state,
      keyring: new ModuleKeyring(serviceClient(bus, keysService, keysService.manager)),
      pendingOperations: new PendingOperationFiles(join(stateDir, 'operations'), { disk, frees }),
      disk,
      objects,
      log,
      now,
      random,
      signal,
    }),
  );
  disk.onProblem(() => service.publish());
  const cancellations = new Cancellations();
  const implementation = () => {
    const inForce = { config: service.config, provisioning: service.provisioning };
    return {
      handlers: identityHandlers(service, { ...inForce, cancellations, stopping: signal }),
      resolvers: identityResolvers(service, { cancellations }),
    };
  };
  return {
    ...implementation(),
    describeMore: () => ({ damaged: Object.fromEntries(service.modules.damaged) }),
    isBusy: () => service.operations.isBusy,
    due: () => service.provisioning.due,
    onNameAcquired: () => service.start(),
    async reload(changed) {
      const retire = await service.reconfigure(changed);
      return { ...implementation(), retire };
    },
  };
}
