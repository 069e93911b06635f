import type { Bus } from '../../dbus/bus.ts';
import { type Client, type ClientCallOptions, client } from '../../dbus/client/client.ts';
import { describeError, isServiceError, ServiceError } from '../../errors.ts';
import { idRule, isId } from '../../ids.ts';
import { certificatesService } from '../../interfaces/certificates.ts';
import { quoted } from '../../quoted.ts';
import { type CommandContext, UsageError } from '../command.ts';
import { describeService, explainedFailure } from '../description.ts';
import { objectProperties } from '../objects/object-properties.ts';
import { replyOrFailedStart } from '../systemd/failed-start.ts';
import { mayAsk } from '../terminal-agent.ts';
import { type CertificateView, certificateView } from './certificate-view.ts';

/** Methods reply when they are done, or when their operation is accepted. */
const replyMs = 60_000;
/** The user may have to type a password first. */
const authorizedMs = 300_000;

type Methods = Client<typeof certificatesService.manager>;

/** The Certificates service, called for the user of the command. */
export class Certificates {
  readonly bus: Bus;
  readonly #methods: Methods;
  readonly #options: ClientCallOptions;

  private constructor(bus: Bus, isInteractive: boolean) {
    const { busName, path, manager } = certificatesService;
    this.bus = bus;
    this.#methods = client(bus, { busName, path }, manager);
    this.#options = {
      interactive: isInteractive,
      timeoutMs: isInteractive ? authorizedMs : replyMs,
    };
  }

  static async connect(context: Pick<CommandContext, 'bus' | 'options'>): Promise<Certificates> {
    return new Certificates(await context.bus(), mayAsk(context));
  }

  /** Calls a method; a failure says what is missing: the service, or which certificates there are. */
  async call<T>(call: (methods: Methods, options: ClientCallOptions) => Promise<T>): Promise<T> {
    try {
      const reply = call(this.#methods, this.#options);
      return await replyOrFailedStart(this.bus, certificatesService, reply);
    } catch (error) {
      throw await this.#explained(error);
    }
  }

  /** A certificate as it is now; undefined when there is none of that id. */
  async find(id: string): Promise<CertificateView | undefined> {
    const values = await objectProperties(this.bus, certificatesService, id);
    return values === undefined ? undefined : certificateView(id, values);
  }

  /** A certificate as it is now, or NotFound. */
  async require(id: string): Promise<CertificateView> {
    const found = await this.find(id);
    if (found === undefined) {
      throw await this.#explained(new ServiceError('NotFound', `no certificate ${quoted(id)}`));
    }
    return found;
  }

  async #explained(error: unknown): Promise<unknown> {
    if (!isServiceError(error, 'NotFound') || !error.message.startsWith('no certificate ')) {
      return explainedFailure(certificatesService, error);
    }
    const { objects } = await describeService(this.bus, certificatesService);
    const ids = Object.keys(objects);
    const known = ids.length === 0 ? 'there is none' : `there is: ${ids.join(', ')}`;
    return new ServiceError('NotFound', `${describeError(error)}; ${known}`);
  }
}

/** The id of a certificate in a command line; UsageError for one that no certificate can have. */
export function certificateId({ positionals }: Pick<CommandContext, 'positionals'>): string {
  const [id = ''] = positionals;
  if (isId(id)) return id;
  throw new UsageError(`${quoted(id)} is not the id of a certificate: ${idRule}`);
}
