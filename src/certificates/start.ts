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

/** The interval of refreshes, which detect expiry and replaced files. */
const refreshMs = 60_000;

/** Starts the Certificates service with the imported and the configured certificates. */
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
  const watch = new KeyWatch({ refresh: refreshCertificateKeys, isOutdated, signal });
  const implementation = () => ({
    handlers: certificatesHandlers(service, { objects }),
    resolvers: certificatesResolvers(service),
  });
  return {
    ...implementation(),
    // or the first reader of a certificate sees no key
    async ready() {
      const listening = await watch.listen(bus);
      if (signal.aborted) return; // the connection ends with the process
      cleanup.use(listening);
      await refreshCertificateKeys();
    },
    onNameAcquired() {
      const timer = setInterval(() => void refresh(service, log), refreshMs).unref();
      cleanup.defer(() => clearInterval(timer));
    },
    async reload(changed) {
      const before = service;
      service = await before.reconfigured(changed);
      watch.request();
      // a call that still used the previous configuration may have published by that
      return { ...implementation(), retire: () => service.publishInPlaceOf(before) };
    },
  };
}

/** Certificates expire, and files of preloaded certificates are replaced, without a call. */
async function refresh(service: CertificateService, log: Log): Promise<void> {
  try {
    await service.publishAll();
  } catch (error) {
    log.error('certificate refresh failed', { error: describeError(error) });
  }
}

/** Keys are created and deleted independently of their certificates. */
async function refreshKeys(
  service: CertificateService,
  signal: AbortSignal,
  log: Log,
): Promise<void> {
  try {
    await service.refreshKeys(ownRequest(signal));
  } catch (error) {
    log.error('key lookup of certificates failed', { error: describeError(error) });
  }
}
