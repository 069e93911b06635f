import type { Bus } from '../../../dbus/bus.ts';
import { type Client, type ClientCallOptions, client } from '../../../dbus/client/client.ts';
import { isServiceError } from '../../../errors.ts';
import { keysService } from '../../../interfaces/keys.ts';
import type { CommandContext } from '../../command.ts';
import { explainedFailure, textOf } from '../../description.ts';
import { objectProperties } from '../../objects/object-properties.ts';
import { replyOrFailedStart } from '../../systemd/failed-start.ts';
import { mayAsk } from '../../terminal-agent.ts';

/** A token may take its time, and the user may have to type a password first. */
const callMs = 300_000;

type Methods = Client<typeof keysService.manager>;

/** What is shown of a key. */
export interface KeyView {
  readonly store: string;
  readonly origin: string;
}

/** The Keys service, called for the user of the command. */
export class Keys {
  readonly #bus: Bus;
  readonly #methods: Methods;
  readonly #options: ClientCallOptions;

  private constructor(bus: Bus, methods: Methods, options: ClientCallOptions) {
    this.#bus = bus;
    this.#methods = methods;
    this.#options = options;
  }

  static async connect(context: Pick<CommandContext, 'bus' | 'options'>): Promise<Keys> {
    const { busName, path, manager } = keysService;
    const bus = await context.bus();
    const methods = client(bus, { busName, path }, manager);
    return new Keys(bus, methods, { interactive: mayAsk(context), timeoutMs: callMs });
  }

  /** Calls a method; a failure says when there is no such service. */
  async call<T>(call: (methods: Methods, options: ClientCallOptions) => Promise<T>): Promise<T> {
    try {
      const reply = call(this.#methods, this.#options);
      return await replyOrFailedStart(this.#bus, keysService, reply);
    } catch (error) {
      throw explainedFailure(keysService, error);
    }
  }

  /** A key as it is now; undefined when there is none of that id. */
  async find(id: string): Promise<KeyView | undefined> {
    const values = await objectProperties(this.#bus, keysService, id);
    if (values === undefined) return undefined;
    return { store: textOf(values['Store']), origin: textOf(values['Origin']) };
  }

  /** Whether there is a key pair of that id. */
  async has(key_id: string): Promise<boolean> {
    try {
      await this.call((methods, options) => methods.GetPublicKey({ key_id, options: {} }, options));
      return true;
    } catch (error) {
      if (isServiceError(error, 'NotFound')) return false;
      throw error;
    }
  }
}
