import type { Properties } from '../dbus/definition.ts';
import type { Server } from '../dbus/serve.ts';
import type { moduleInterface, modulesInterface, modulesService } from '../interfaces/modules.ts';

type ModuleState = Properties<typeof moduleInterface>;
/** The properties of the manager that change. */
export type ManagerState = Omit<Properties<typeof modulesInterface>, 'Version' | 'Agent'>;

/** What the rest of the world sees of the modules. */
export interface Publisher {
  put(name: string, properties: ModuleState): void;
  remove(name: string): void;
  manager(state: ManagerState): void;
}

/** Shows the modules on the bus; until there is a server it only remembers. */
export class BusPublisher implements Publisher {
  readonly #modules = new Map<string, ModuleState>();
  #state: ManagerState = {
    Health: 'ok',
    LastError: '',
    Engine: { name: 'docker', version: '', reachable: false },
  };
  #server: Server<typeof modulesService> | undefined;

  /** The properties of the manager as they are now. */
  get state(): ManagerState {
    return this.#state;
  }

  /** Puts what is remembered on the server; from now on it is told at once. */
  attach(server: Server<typeof modulesService>): void {
    this.#server = server;
    for (const [name, properties] of this.#modules) server.putObject(name, properties);
    this.#modules.clear();
    server.setProperties(this.#state);
  }

  put(name: string, properties: ModuleState): void {
    if (this.#server === undefined) this.#modules.set(name, properties);
    else this.#server.putObject(name, properties);
  }

  remove(name: string): void {
    this.#modules.delete(name);
    this.#server?.removeObject(name);
  }

  manager(state: ManagerState): void {
    this.#state = state;
    this.#server?.setProperties(state);
  }
}
