import { setTimeout as sleep } from 'node:timers/promises';
import { childPath } from '../dbus/path.ts';
import { describeError } from '../errors.ts';
import { keysService } from '../interfaces/keys.ts';
import type { Log } from '../service/log/log.ts';
import { main } from '../service/run.ts';
import type { StartContext, StartedService } from '../service/service-lifecycle.ts';
import { StateDisk } from '../service/state/state-disk.ts';
import { type KeysConfig, keysSchema, parseKeysConfig } from './config/config.ts';
import { keysHandlers } from './handlers.ts';
import { KeyUse } from './key-operations.ts';
import { BusPublisher } from './publisher.ts';
import { KeyService } from './service.ts';
import { closeStores, StoreOpener, type Stores } from './stores.ts';

/** The name is taken without a token that takes longer than this to answer. */
const TOKEN_MAY_TAKE_MS = 1_000;
/** How often tokens are looked at for keys that other processes made or removed. */
const WATCH_MS = 12_000;

async function start(
  context: StartContext<KeysConfig>,
): Promise<StartedService<typeof keysService, KeysConfig>> {
  const { cleanup, config, log, signal, stateDir, version } = context;
  const opener = cleanup.use(new StoreOpener(stateDir));
  const opened = new Set<Stores>();
  cleanup.defer(async () => {
    for (const each of opened) await closeStores(each);
  });
  const publisher = new BusPublisher();
  const disk = cleanup.use(await StateDisk.open(stateDir));
  disk.onProblem((problem) => publisher.disk(problem));
  let stores = await opener.open(config);
  opened.add(stores);
  const close = async (old: Stores): Promise<void> => {
    opened.delete(old);
    await closeStores(old, stores);
  };
  const keys = new KeyService(stores, publisher);
  const listen = ({ pkcs11 }: Stores): void =>
    pkcs11?.onTokenChange((failure) => {
      if (pkcs11 !== stores.pkcs11) return;
      keys.tokenChanged(failure);
      void look(keys, log, signal);
    });
  listen(stores);
  await lookBriefly(keys, log, signal);
  const { path, child } = keysService;
  return {
    handlers: keysHandlers(keys, new KeyUse(keys), (id) => childPath(path, child.segment, id)),
    resolvers: {},
    properties: { Version: version, ...publisher.state },
    describeMore: () => ({ ignored: keys.ignored }),
    publish: (server) => publisher.attach(server),
    isBusy: () => keys.isChanging,
    onNameAcquired: () => void watch(keys, () => stores.pkcs11 !== undefined, { log, signal }),
    async reload(changed) {
      const before = stores;
      const next = async (): Promise<Stores> => {
        const found = await opener.open(changed, before);
        opened.add(found);
        return found;
      };
      stores = await keys.replaceStores(next, close);
      listen(stores);
      await lookBriefly(keys, log, signal);
      return { retire: () => close(before) };
    },
  };
}

/** A token that takes longer shows its keys later. */
async function lookBriefly(keys: KeyService, log: Log, signal: AbortSignal): Promise<void> {
  await Promise.race([
    look(keys, log, signal),
    sleep(TOKEN_MAY_TAKE_MS, undefined, { ref: false }),
  ]);
}

/** Looks at the tokens again and again until the service stops. */
async function watch(
  keys: KeyService,
  hasTokens: () => boolean,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    await sleep(WATCH_MS, undefined, { signal, ref: false }).catch(() => undefined);
    if (!signal.aborted && hasTokens()) await look(keys, log, signal);
  }
}

async function look(keys: KeyService, log: Log, signal: AbortSignal): Promise<void> {
  try {
    await keys.refresh(signal);
  } catch (error) {
    log.warn('the stores could not be looked at', { error: describeError(error) });
  }
}

// A token works on threads of the pool, which must not keep files waiting; read when the pool starts.
process.env['UV_THREADPOOL_SIZE'] ??= '8';
void main({
  service: keysService,
  schema: keysSchema,
  parse: parseKeysConfig,
  start,
  // a library lives in this process, and a token of it cannot be left while it is used
  fixedSettings: ({ pkcs11_lib_path, tokens }: KeysConfig) => ({ pkcs11_lib_path, tokens }),
});
