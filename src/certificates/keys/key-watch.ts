import { setTimeout as pause } from 'node:timers/promises';
import type { Bus, BusSignal } from '../../dbus/bus.ts';
import { keysService } from '../../interfaces/keys.ts';

const pauseMs = 1000;
const driver = 'org.freedesktop.DBus';

/** Options of a KeyWatch. */
export interface KeyWatchOptions {
  /** Looks up the keys; does not reject. */
  readonly refresh: () => Promise<void>;
  /** Whether the last refresh could not reach the Keys service. */
  readonly isOutdated: () => boolean;
  readonly signal: AbortSignal;
}

/** Refreshes when the Keys service emits changes of keys: one refresh at a time, and at most one a second. */
export class KeyWatch {
  readonly #options: KeyWatchOptions;
  #isRequested = false;
  #isRunning = false;

  constructor(options: KeyWatchOptions) {
    this.#options = options;
  }

  /** Listens until disposed. */
  async listen(bus: Bus): Promise<AsyncDisposable> {
    const { busName, path } = keysService;
    const changes = await bus.subscribe({ sender: busName, pathNamespace: path }, (signal) => {
      if (isChangeOfKeys(signal)) this.request();
    });
    const owner = { sender: driver, interface: driver, member: 'NameOwnerChanged', arg0: busName };
    const starts = await bus.subscribe(owner, ({ body: [, , now] }) => {
      if (now !== '' && this.#options.isOutdated()) this.request();
    });
    return {
      async [Symbol.asyncDispose]() {
        await changes[Symbol.asyncDispose]();
        await starts[Symbol.asyncDispose]();
      },
    };
  }

  /** Requests a refresh; all requests during one lead to a single further one. */
  request(): void {
    this.#isRequested = true;
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    const { refresh, signal } = this.#options;
    this.#isRunning = true;
    while (this.#isRequested && !signal.aborted) {
      this.#isRequested = false;
      await refresh();
      // undefined: the service stops
      await pause(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
    this.#isRunning = false;
  }
}

function isChangeOfKeys({ path, member }: BusSignal): boolean {
  if (path !== keysService.path) return member === 'PropertiesChanged';
  return member === 'InterfacesAdded' || member === 'InterfacesRemoved';
}
