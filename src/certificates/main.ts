import { join } from 'node:path';
import { ownRequest } from '../dbus/client/via.ts';
import { childPath } from '../dbus/path.ts';
import { describeError } from '../errors.ts';
import { certificatesService } from '../interfaces/certificates.ts';
import type { Log } from '../service/log/log.ts';
import { main } from '../service/run.ts';
import type { StartContext, StartedService } from '../service/service-lifecycle.ts';
import { StateDisk } from '../service/state/state-disk.ts';
import {
  type CertificatesConfig,
  certificatesSchema,
  parseCertificatesConfig,
} from './config/config.ts';
import { certificatesHandlers, certificatesResolvers } from './handlers.ts';
import { KeyWatch } from './keys/key-watch.ts';
import { BusKeys } from './keys/keys-client.ts';
import { BusPublisher } from './publisher.ts';
import { CertificateService } from './service.ts';
import { Storage } from './storage.ts';

const refreshMs = 60_000;

/** Time passes, and files of preloaded certificates are replaced, without anybody calling. */
async function refresh(service: CertificateService, log: Log): Promise<void> {
  try {
    await service.publishAll();
  } catch (error) {
    log.error('certificates could not be looked at', { error: describeError(error) });
  }
}

/** Keys are made, moved and deleted without anybody telling this service about their certificates. */
async function lookKeysUp(
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

async function start(
  context: StartContext<typeof certificatesService, CertificatesConfig>,
): Promise<StartedService<typeof certificatesService, CertificatesConfig>> {
  const { bus, cleanup, config, log, now, objects, signal, stateDir } = context;
  const storage = await Storage.open(join(stateDir, 'certificates'));
  const publisher = new BusPublisher(objects);
  const disk = cleanup.use(await StateDisk.open(stateDir));
  disk.onProblem((problem) => publisher.disk(problem));
  let service = new CertificateService({
    config,
    storage,
    keys: new BusKeys(bus),
    publisher,
    now,
  });
  await service.publishAll();
  const look = () => lookKeysUp(service, signal, log);
  const watch = new KeyWatch({ look, isOutdated: () => service.keysAreOutdated, signal });
  const { path, child } = certificatesService;
  const answers = () => ({
    handlers: certificatesHandlers(service, (id) => childPath(path, child.segment, id)),
    resolvers: certificatesResolvers(service),
  });
  return {
    ...answers(),
    async reload(changed) {
      const before = service;
      service = await before.reconfigured(changed);
      watch.request();
      // a call that ended under the configuration before may have published as that has it
      return { ...answers(), retire: () => service.publishInPlaceOf(before) };
    },
    // or the first who reads a certificate sees no key
    async ready() {
      const listening = await watch.listen(bus);
      if (signal.aborted) return; // the bus goes with the process
      cleanup.use(listening);
      await look();
    },
    onNameAcquired() {
      const again = setInterval(() => void refresh(service, log), refreshMs).unref();
      cleanup.defer(() => clearInterval(again));
    },
  };
}

void main({
  service: certificatesService,
  schema: certificatesSchema,
  parse: parseCertificatesConfig,
  start,
});
