import type { Bus } from '../../../src/dbus/bus.ts';
import { Variant } from '../../../src/dbus/wire/variant.ts';
import { modulesService } from '../../../src/interfaces/modules.ts';
import { until } from '../deadline.ts';

const { busName: sender, path, child } = modulesService;

/** The values of a property of a module that were announced on the bus, in order; `gone` when its object is removed. */
export class ModuleWatch implements AsyncDisposable {
  readonly #seen: string[] = [];
  readonly #property: string;
  #subscription: AsyncDisposable | undefined;

  private constructor(property: string) {
    this.#property = property;
  }

  static async start(bus: Bus, module: string, property = 'State'): Promise<ModuleWatch> {
    const watch = new ModuleWatch(property);
    const object = `${path}/${child.segment}/${module}`;
    watch.#subscription = await bus.subscribe({ sender, pathNamespace: path }, (signal) => {
      const [first, second] = signal.body;
      if (signal.path === object && signal.member === 'PropertiesChanged') watch.#note(second);
      if (signal.path !== path || first !== object) return;
      if (signal.member === 'InterfacesRemoved') watch.#seen.push('gone');
      if (signal.member === 'InterfacesAdded')
        watch.#note(members(second).get(child.interface.name));
    });
    return watch;
  }

  /** Waits for a value, and returns those since the previous call. */
  async until(last: string): Promise<readonly string[]> {
    await until(60_000, `${this.#property} ${last}, seen ${this.#seen.join()}`, () =>
      this.#seen.includes(last),
    );
    return this.#seen.splice(0);
  }

  /** The values since the previous call. */
  take(): readonly string[] {
    return this.#seen.splice(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#subscription?.[Symbol.asyncDispose]();
  }

  #note(properties: unknown): void {
    const value = members(properties).get(this.#property);
    if (value instanceof Variant) this.#seen.push(String(value.value));
  }
}

function members(value: unknown): ReadonlyMap<string, unknown> {
  return new Map<string, unknown>(Object.entries(value ?? {}));
}
