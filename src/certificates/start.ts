import { join } from 'node:path';
import { ownRequest } from '../dbus/client/via.ts';
import { describeError } from '../errors.ts';
import type { certificatesService } from '../interfaces/certificates.ts';
import type { Log } from '../service/log/log.ts';
import type { StartContext, StartedService } from '../service/service-program.ts';
import { StateDisk } from '../service/state/state-disk.ts';
import type { CertificatesConfig } from './config/config.ts';
import { certificatesHandlers, certificatesResolvers } from './handlers.ts';
import { KeyWatch } from './keys/key-watch.ts';
import { BusKeys } from './keys/keys-client.ts';
import { CertificateService } from './service.ts';
import { Storage } from './storage.ts';

/** How often certificates are read for what time and other processes have changed. */
const refreshMs = 60_000;

/** Starts the Certificates service over the certificates that were handed in and those that are configured. */
export async function startCertificates(
  context: StartContext<typeof certificatesService, CertificatesConfig>,
): Promise<StartedService<typeof certificatesService, CertificatesConfig>> {
  const { bus, cleanup, config, log, now, objects, signal, stateDir } = context;
  const storage = await Storage.open(join(stateDir, 'certificates'));
  const disk = cleanup.use(await StateDisk.open(stateDir));
  const keys = new BusKeys(bus);
  let service = new CertificateService({ config, storage, keys, objects, disk, now });
  disk.onProblem(() => service.publishHealth());
  await service.publishAll();
  const refreshCertificateKeys = () => refreshKeys(service, signal, log);
  const isOutdated = (): boolean => service.keysAreOutdated;
  const watch = new KeyWatch({ look: refreshCertificateKeys, isOutdated, signal });
  const implementation = () => ({
    handlers: certificatesHandlers(service, { objects }),
    resolvers: certificatesResolvers(service),
  });
  return {
    ...implementation(),
    // or the first who reads a certificate sees no key
    async ready() {
      const listening = await watch.listen(bus);
      if (signal.aborted) return; // the bus goes with the process
      cleanup.use(listening);
      await refreshCertificateKeys();
    },
    onNameAcquired() {
      const again = setInterval(() => void refresh(service, log), refreshMs).unref();
      cleanup.defer(() => clearInterval(again));
    },
    async reload(changed) {
      const before = service;
      service = await before.reconfigured(changed);
      watch.request();
      // a call that ended under the configuration before may have published as that has it
      return { ...implementation(), retire: () => service.publishInPlaceOf(before) };
    },
  };
}

/** Time passes, and files of preloaded certificates are replaced, without a call. */
async function refresh(service: CertificateService, log: Log): Promise<void> {
  try {
    await service.publishAll();
  } catch (error) {
    log.error('certificates could not be looked at', { error: describeError(error) });
  }
}

/** The Keys service creates and deletes keys without notifying this service about their certificates. */
async function refreshKeys(
  service: CertificateService,
  signal: AbortSignal,
  log: Log,
): Promise<void> {
  try {
    await service.refreshKeys(ownRequest(signal));
  } catch (error) {
    log.error('keys of certificates could not be looked up', { error: describeError(error) });
  }
}
