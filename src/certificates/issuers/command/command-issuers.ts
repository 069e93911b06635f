import type { Log } from '../../../service/log/log.ts';
import type { CommandSettings } from '../../config/command-settings.ts';
import type { Issuer } from '../issuer.ts';

/** The helpers of the configuration. What runs them is loaded by the first order: few devices have one. */
export class CommandIssuers {
  readonly #log: Log;

  constructor({ log }: { readonly log: Log }) {
    this.#log = log;
  }

  /** The issuer of this name. */
  issuer(name: string, settings: CommandSettings): Issuer {
    return {
      submit: async (order, via) => {
        const { CommandIssuer } = await import('./command-issuer.ts');
        return new CommandIssuer({ name, settings, log: this.#log }).submit(order, via);
      },
    };
  }
}
