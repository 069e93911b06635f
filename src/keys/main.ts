import { setTimeout as sleep } from 'node:timers/promises';
import { childPath } from '../dbus/path.ts';
import { describeError } from '../errors.ts';
import { keysService } from '../interfaces/keys.ts';
import type { Log } from '../service/log.ts';
import { main, type Running, type StartContext } from '../service/run.ts';
import { type KeysConfig, keysSchema, parseKeysConfig } from './config.ts';
import { keysHandlers } from './handlers.ts';
import { KeyUse } from './key-use.ts';
import { openStores } from './open-stores.ts';
import { BusPublisher } from './publisher.ts';
import { KeyService } from './service.ts';

/** The name is taken without a token that takes longer than this to answer. */
const TOKEN_MAY_TAKE_MS = 1_000;
/** How often tokens are looked at for keys that other processes made or removed. */
const WATCH_MS = 12_000;

async function start(context: StartContext<KeysConfig>): Promise<Running<typeof keysService>> {
  const { cleanup, config, log, signal, stateDir, version } = context;
  const stores = cleanup.use(await openStores(config, stateDir));
  const publisher = new BusPublisher();
  const keys = new KeyService(stores, publisher);
  stores.pkcs11?.onTokenChange((failure) => {
    keys.tokenChanged(failure);
    void look(keys, log, signal);
  });
  await Promise.race([
    look(keys, log, signal),
    sleep(TOKEN_MAY_TAKE_MS, undefined, { ref: false }),
  ]);
  const { path, child } = keysService;
  return {
    handlers: keysHandlers(keys, new KeyUse(keys), (id) => childPath(path, child.segment, id)),
    resolvers: {},
    properties: { Version: version, ...publisher.state },
    describeMore: () => ({ ignored: keys.ignored }),
    publish: (server) => publisher.attach(server),
    isBusy: () => keys.isChanging,
    live() {
      if (stores.pkcs11 !== undefined) void watch(keys, log, signal);
    },
  };
}

/** Looks at the tokens again and again until the service stops. */
async function watch(keys: KeyService, log: Log, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(WATCH_MS, undefined, { signal, ref: false }).catch(() => undefined);
    if (!signal.aborted) await look(keys, log, signal);
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
void main({ service: keysService, schema: keysSchema, parse: parseKeysConfig, start });
