import type { Properties, ServiceDefinition } from '../definition.ts';
import type { Published } from './published.ts';

/**
 * What a service shows on the bus: the objects of its children, and those properties of its manager that change.
 * Until there is a server it only remembers.
 */
export class Display<S extends ServiceDefinition, State extends Partial<Properties<S['manager']>>> {
  readonly #early = new Map<string, Properties<S['child']['interface']>>();
  #state: State;
  #server: Published<S> | undefined;

  constructor(state: State) {
    this.#state = state;
  }

  /** The properties of the manager as they are now. */
  get state(): State {
    return this.#state;
  }

  /** Puts what is remembered on the server; from now on it is published at once. */
  attach(server: Published<S>): void {
    this.#server = server;
    for (const [id, properties] of this.#early) server.putObject(id, properties);
    this.#early.clear();
    server.setProperties(this.#state);
  }

  /** Shows the object of an id, or its other properties. */
  put(id: string, properties: Properties<S['child']['interface']>): void {
    if (this.#server === undefined) this.#early.set(id, properties);
    else this.#server.putObject(id, properties);
  }

  /** Removes the object of an id, if there is one. */
  remove(id: string): void {
    this.#early.delete(id);
    this.#server?.removeObject(id);
  }

  /** Changes properties of the manager. */
  set(values: Partial<State>): void {
    this.#state = { ...this.#state, ...values };
    this.#server?.setProperties(this.#state);
  }

  /** Sends a signal of the manager, which nobody can hear before there is a server. */
  emit(...signal: Parameters<Published<S>['emit']>): void {
    this.#server?.emit(...signal);
  }
}
