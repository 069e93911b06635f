import type { Properties, ServiceDefinition } from '../../../src/dbus/definition.ts';
import { ObjectManager } from '../../../src/dbus/server/object-manager.ts';
import type { DeferredValues } from '../../../src/dbus/server/properties.ts';
import type { Message } from '../../../src/dbus/wire/message.ts';

/** The objects of a service without a bus; records their properties and signals. */
export class ShownObjects<S extends ServiceDefinition> extends ObjectManager<S> {
  /** The manager's properties. */
  properties: Properties<S['manager']>;
  /** The manager's properties after each `setProperties`. */
  readonly history: Properties<S['manager']>[] = [];
  readonly objects = new Map<string, Properties<S['child']['interface']>>();
  /** Member and path of the signals since the previous call. */
  readonly announced: () => readonly string[];

  constructor(service: S, version = '') {
    const sent: Message[] = [];
    super({ send: (message) => sent.push(message) }, service, version);
    this.announced = () =>
      sent.splice(0).map(({ member, body: [first], path }) => {
        const isAboutChild = member === 'InterfacesAdded' || member === 'InterfacesRemoved';
        return `${member} ${isAboutChild ? String(first) : path}`;
      });
    const first: unknown = { Version: version, Health: 'ok', LastError: '' };
    this.properties = first as Properties<S['manager']>; // the rest is set by the service
    this.goLive();
  }

  override setProperties(values: Partial<Properties<S['manager']>>): boolean {
    const isChange = super.setProperties(values);
    this.properties = { ...this.properties, ...values };
    this.history.push(this.properties);
    return isChange;
  }

  override put(id: string, values: Properties<S['child']['interface']>): void {
    super.put(id, values);
    this.objects.set(id, values);
  }

  override putDeferred(
    id: string,
    values: DeferredValues<Properties<S['child']['interface']>>,
  ): void {
    super.putDeferred(id, values);
    this.objects.set(id, values.compute());
  }

  override remove(id: string): void {
    super.remove(id);
    this.objects.delete(id);
  }
}
