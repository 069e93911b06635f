import type { Bus } from '../../dbus/bus.ts';
import { type Client, type ClientCallOptions, client } from '../../dbus/client/client.ts';
import { describeError, isServiceError, ServiceError } from '../../errors.ts';
import { isModuleName, moduleRule } from '../../ids.ts';
import { modulesService } from '../../interfaces/modules.ts';
import { quoted } from '../../quoted.ts';
import { type CommandContext, UsageError } from '../command.ts';
import { describeService, explainedFailure } from '../description.ts';
import { objectProperties } from '../objects/object-properties.ts';
import { replyOrFailedStart } from '../systemd/failed-start.ts';
import { mayAsk } from '../terminal-agent.ts';
import { type ModuleView, moduleView } from './module-view.ts';

/** A method with a reply that needs no operation, or one that replies when its operation is accepted. */
const replyMs = 60_000;
/** The user may have to type a password first. */
const authorizedMs = 300_000;

type Methods = Client<typeof modulesService.manager>;

/** The Module Runtime, called for the user of the command. */
export class Runtime {
  readonly bus: Bus;
  readonly #methods: Methods;
  readonly #options: ClientCallOptions;

  private constructor(bus: Bus, isInteractive: boolean) {
    const { busName, path, manager } = modulesService;
    this.bus = bus;
    this.#methods = client(bus, { busName, path }, manager);
    this.#options = {
      interactive: isInteractive,
      timeoutMs: isInteractive ? authorizedMs : replyMs,
    };
  }

  static async connect(context: Pick<CommandContext, 'bus' | 'options'>): Promise<Runtime> {
    return new Runtime(await context.bus(), mayAsk(context));
  }

  /** Calls a method; a failure says what is missing: the service, or which modules there are. */
  async call<T>(call: (methods: Methods, options: ClientCallOptions) => Promise<T>): Promise<T> {
    try {
      const reply = call(this.#methods, this.#options);
      return await replyOrFailedStart(this.bus, modulesService, reply);
    } catch (error) {
      throw await this.#explained(error);
    }
  }

  /** A module as it is now; undefined when there is none of that name. */
  async find(name: string): Promise<ModuleView | undefined> {
    const values = await objectProperties(this.bus, modulesService, name);
    return values === undefined ? undefined : moduleView(values);
  }

  /** A module as it is now, or NotFound. */
  async require(name: string): Promise<ModuleView> {
    const found = await this.find(name);
    if (found === undefined) {
      throw await this.#explained(new ServiceError('NotFound', `no module ${quoted(name)}`));
    }
    return found;
  }

  async #explained(error: unknown): Promise<unknown> {
    if (!isServiceError(error, 'NotFound') || !error.message.startsWith('no module ')) {
      return explainedFailure(modulesService, error);
    }
    const { objects } = await describeService(this.bus, modulesService);
    const names = Object.keys(objects);
    const known = names.length === 0 ? 'there is none' : `there is: ${names.join(', ')}`;
    return new ServiceError('NotFound', `${describeError(error)}; ${known}`);
  }
}

/** The names of modules in a command line; UsageError for one that no module can have. */
export function moduleNames({ positionals }: Pick<CommandContext, 'positionals'>) {
  for (const name of positionals) {
    if (isModuleName(name) && !name.startsWith('$')) continue;
    const hint = name.startsWith('$') ? 'a name is without the $ of its cloud id' : moduleRule;
    throw new UsageError(`${quoted(name)} is not the name of a module: ${hint}`);
  }
  return positionals;
}

/** The one name of a module in a command line. */
export function moduleName(context: Pick<CommandContext, 'positionals'>): string {
  const [name = ''] = moduleNames({ positionals: context.positionals.slice(0, 1) });
  return name;
}
