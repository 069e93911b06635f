import type { Bus, BusSignal } from '../../dbus/bus.ts';
import type { ServiceDefinition } from '../../dbus/definition.ts';
import { childPath } from '../../dbus/path.ts';

/** However signals are lost, a change is seen after this. */
const longestMs = 5000;

/** Notes that an object of a service may have changed: its properties, its existence, the process of the service. */
export class ObjectChanges implements AsyncDisposable {
  #subscriptions: readonly AsyncDisposable[] = [];
  #isChanged = false;
  #wake: () => void = () => undefined;

  static async watch(
    bus: Pick<Bus, 'subscribe'>,
    { busName, path, child }: ServiceDefinition,
    id: string,
  ): Promise<ObjectChanges> {
    const changes = new ObjectChanges();
    const object = childPath(path, child.segment, id);
    const note = (): void => changes.#note();
    const ofObject = ({ path: from, body }: BusSignal): void => {
      if (from === object || body.includes(object)) note();
    };
    const owner = {
      sender: 'org.freedesktop.DBus',
      interface: 'org.freedesktop.DBus',
      member: 'NameOwnerChanged',
      arg0: busName,
    };
    changes.#subscriptions = [
      await bus.subscribe({ sender: busName, pathNamespace: path }, ofObject),
      await bus.subscribe(owner, note),
    ];
    return changes;
  }

  /** Resolves at the next change, or when the signal aborts; at once when there was a change since the last call. */
  async next(signal: AbortSignal): Promise<void> {
    if (!this.#isChanged && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, longestMs);
        function done(): void {
          clearTimeout(timer);
          signal.removeEventListener('abort', done);
          resolve();
        }
        this.#wake = done;
        signal.addEventListener('abort', done, { once: true });
      });
    }
    this.#isChanged = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#subscriptions) await one[Symbol.asyncDispose]();
  }

  #note(): void {
    this.#isChanged = true;
    this.#wake();
  }
}
