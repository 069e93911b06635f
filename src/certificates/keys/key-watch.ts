import { setTimeout as pause } from 'node:timers/promises';
import type { Bus, BusSignal } from '../../dbus/bus.ts';
import { keysService } from '../../interfaces/keys.ts';

const pauseMs = 1000;
const driver = 'org.freedesktop.DBus';

/** What is done again when keys came, went or changed. */
export interface KeyWatchOptions {
  /** Looks the keys up; does not reject. */
  readonly look: () => Promise<void>;
  /** Whether the last look found the Keys service out of reach. */
  readonly isOutdated: () => boolean;
  readonly signal: AbortSignal;
}

/** Looks keys up when the Keys service emits that they changed: one look at a time, and at most one a second. */
export class KeyWatch {
  readonly #options: KeyWatchOptions;
  #wanted = false;
  #looking = false;

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

  /** Has the keys looked up soon; requests while that happens come to one more look. */
  request(): void {
    this.#wanted = true;
    if (!this.#looking) void this.#run();
  }

  async #run(): Promise<void> {
    const { look, signal } = this.#options;
    this.#looking = true;
    while (this.#wanted && !signal.aborted) {
      this.#wanted = false;
      await look();
      // undefined: the service stops
      await pause(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
    this.#looking = false;
  }
}

function isChangeOfKeys({ path, member }: BusSignal): boolean {
  if (path !== keysService.path) return member === 'PropertiesChanged';
  return member === 'InterfacesAdded' || member === 'InterfacesRemoved';
}
