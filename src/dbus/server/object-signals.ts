import type { Bus } from '../bus.ts';
import { Message, messageType } from '../wire/message.ts';
import { managedInterfaces, type ServedObject } from './object-tree.ts';
import type { PropertyChange } from './properties.ts';

/** A signal of an object. */
export interface ObjectSignal {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  readonly body: readonly unknown[];
}

/** Emits the signals about the objects of a service; nothing is sent before `goLive`. */
export class ObjectSignals {
  readonly #bus: Pick<Bus, 'send'>;
  /** The path of the ObjectManager. */
  readonly #path: string;
  #live = false;
  #onChange: () => void = () => undefined;

  constructor(bus: Pick<Bus, 'send'>, path: string) {
    this.#bus = bus;
    this.#path = path;
  }

  goLive(): void {
    this.#live = true;
  }

  /** Calls the listener before each change is announced. It must not throw. */
  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  added(object: ServedObject): void {
    if (!this.#live) return;
    this.#announceObject('InterfacesAdded', 'oa{sa{sv}}', [object.path, managedInterfaces(object)]);
  }

  removed(path: string, interfaces: readonly string[]): void {
    this.#announceObject('InterfacesRemoved', 'oas', [path, interfaces]);
  }

  /** A constant property has changed, so the object is announced as a new one. */
  replaced(object: ServedObject): void {
    this.removed(object.path, [...object.interfaces.keys()]);
    this.added(object);
  }

  changed(path: string, interfaceName: string, change: PropertyChange | undefined): void {
    if (change === undefined) return;
    const { changed, invalidated, constants } = change;
    this.#announce({
      path,
      interface: 'org.freedesktop.DBus.Properties',
      member: 'PropertiesChanged',
      signature: 'sa{sv}as',
      body: [interfaceName, changed, [...invalidated, ...constants]],
    });
  }

  invalidated(path: string, interfaceName: string, names: readonly string[]): void {
    if (names.length === 0) return;
    this.changed(path, interfaceName, { changed: {}, invalidated: names, constants: [] });
  }

  /** Sends a signal that does not announce a change. */
  send(signal: ObjectSignal): void {
    if (this.#live) this.#bus.send(new Message({ type: messageType.signal, ...signal }));
  }

  #announceObject(member: string, signature: string, body: readonly unknown[]): void {
    const objectManager = 'org.freedesktop.DBus.ObjectManager';
    this.#announce({ path: this.#path, interface: objectManager, member, signature, body });
  }

  #announce(signal: ObjectSignal): void {
    if (!this.#live) return;
    this.#onChange();
    this.send(signal);
  }
}
