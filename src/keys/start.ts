import { setTimeout as sleep } from 'node:timers/promises';
import { describeError, isServiceError } from '../errors.ts';
import type { keysService } from '../interfaces/keys.ts';
import { noCore } from '../native/linux.ts';
import type { Log } from '../service/log/log.ts';
import type { StartContext, StartedService } from '../service/service-program.ts';
import { StateDisk } from '../service/state/state-disk.ts';
import { KeyCatalog } from './catalog.ts';
import type { KeysConfig } from './config/config.ts';
import { keysHandlers } from './handlers.ts';
import { KeyOperations } from './key-operations.ts';
import { KeyService } from './service.ts';
import { closeStores, StoreOpener, type Stores } from './stores.ts';

/** The bus name is acquired without waiting longer than this for a token. */
const firstListingTimeoutMs = 1_000;
/** The interval of listing tokens for keys that other processes created or deleted. */
const refreshMs = 12_000;

/** Starts the Keys service over the stores that its configuration names. */
export async function startKeys(
  context: StartContext<typeof keysService, KeysConfig>,
): Promise<StartedService<typeof keysService, KeysConfig>> {
  const { cleanup, config, log, objects, signal, stateDir } = context;
  // a core dump would contain PINs and keys
  noCore();
  const opener = cleanup.use(new StoreOpener(stateDir));
  const opened = new Set<Stores>();
  cleanup.defer(async () => {
    await opener.loginsSettled();
    for (const each of opened) await closeStores(each);
  });
  const catalog = new KeyCatalog(objects);
  const disk = cleanup.use(await StateDisk.open(stateDir));
  disk.onProblem((problem) => catalog.setDiskProblem(problem));
  let stores = await opener.open(config);
  opened.add(stores);
  const close = async (old: Stores): Promise<void> => {
    opened.delete(old);
    await closeStores(old, stores);
  };
  const service = new KeyService(stores, catalog);
  const listen = ({ pkcs11 }: Stores): void =>
    pkcs11?.onTokenChange((failure) => {
      if (pkcs11 !== stores.pkcs11 || signal.aborted) return;
      if (isServiceError(failure)) log.warn('token unusable', { error: failure.message });
      else log.info('token usable', {});
      service.tokenChanged(failure);
      void refresh(service, log, signal);
    });
  listen(stores);
  await refreshBriefly(service, log, signal);
  const hasTokens = (): boolean => stores.pkcs11 !== undefined;
  return {
    handlers: keysHandlers(service, { operations: new KeyOperations(service), objects }),
    resolvers: {},
    describeMore: () => ({ ignored: service.ignored }),
    isBusy: () => service.isChanging,
    onOverdue: () => opener.abandonCalls(),
    onNameAcquired: () => void refreshPeriodically(service, hasTokens, { log, signal }),
    async reload(changed) {
      const before = stores;
      const next = async (): Promise<Stores> => {
        const found = await opener.open(changed, before);
        opened.add(found);
        return found;
      };
      stores = await service.replaceStores(next, close);
      listen(stores);
      await refreshBriefly(service, log, signal);
      const retire = async (): Promise<void> => {
        await close(before);
        await opener.endUnused(changed);
      };
      return { retire };
    },
  };
}

/** Refreshes, but does not wait for a slow token: its keys are published later. */
async function refreshBriefly(service: KeyService, log: Log, signal: AbortSignal): Promise<void> {
  await Promise.race([
    refresh(service, log, signal),
    sleep(firstListingTimeoutMs, undefined, { ref: false }),
  ]);
}

/** Refreshes periodically until the service stops: other processes change tokens as well. */
async function refreshPeriodically(
  service: KeyService,
  hasTokens: () => boolean,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    await sleep(refreshMs, undefined, { signal, ref: false }).catch(() => undefined);
    if (!signal.aborted && hasTokens()) await refresh(service, log, signal);
  }
}

async function refresh(service: KeyService, log: Log, signal: AbortSignal): Promise<void> {
  try {
    await service.refresh(signal);
  } catch (error) {
    log.warn('key listing failed', { error: describeError(error) });
  }
}
