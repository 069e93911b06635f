import type { Properties } from '../dbus/definition.ts';
import type { Server } from '../dbus/serve.ts';
import type {
  certificateInterface,
  certificatesInterface,
  certificatesService,
} from '../interfaces/certificates.ts';

/** What the rest of the world sees of the certificates. */
export interface Publisher {
  put(id: string, properties: Properties<typeof certificateInterface>): void;
  remove(id: string): void;
  /** The digest of the default trust bundle, `` when it cannot be put together. */
  trustBundle(digest: string): void;
  /** What is wrong at present, one text per certificate. */
  health(problems: readonly string[]): void;
}

type ManagerState = Omit<Properties<typeof certificatesInterface>, 'Version'>;

/** Shows the certificates on the bus; until there is a server it only remembers. */
export class BusPublisher implements Publisher {
  readonly #objects = new Map<string, Properties<typeof certificateInterface>>();
  #state: ManagerState = { Health: 'ok', LastError: '', TrustBundleDigest: '' };
  #server: Server<typeof certificatesService> | undefined;

  /** The properties of the manager as they are now. */
  get state(): ManagerState {
    return this.#state;
  }

  /** Puts what is remembered on the server; from now on it is told at once. */
  attach(server: Server<typeof certificatesService>): void {
    this.#server = server;
    for (const [id, properties] of this.#objects) server.putObject(id, properties);
    this.#objects.clear();
  }

  put(id: string, properties: Properties<typeof certificateInterface>): void {
    if (this.#server === undefined) this.#objects.set(id, properties);
    else this.#server.putObject(id, properties);
  }

  remove(id: string): void {
    this.#objects.delete(id);
    this.#server?.removeObject(id);
  }

  trustBundle(digest: string): void {
    if (digest === this.#state.TrustBundleDigest) return;
    this.#set({ TrustBundleDigest: digest });
    this.#server?.emit('TrustBundleChanged', {});
  }

  health(problems: readonly string[]): void {
    this.#set({
      Health: problems.length === 0 ? 'ok' : 'degraded',
      LastError: problems.join('; ').slice(0, 1024),
    });
  }

  #set(values: Partial<ManagerState>): void {
    this.#state = { ...this.#state, ...values };
    this.#server?.setProperties(values);
  }
}
