import { join } from 'node:path';
import { ServiceError } from '../../errors.ts';
import type { HttpsClient } from '../../https/https-client.ts';
import type { Log } from '../../service/log/log.ts';
import { CertificateFiles } from '../certificate-files.ts';
import type { EstSettings } from '../config/est-settings.ts';
import type { Issuer } from '../issuers/issuer.ts';
import type { EstIssuerOptions } from './est-issuer.ts';
import { readPassword } from './password-file.ts';
import { PreparedOrders } from './prepared-orders.ts';
import type { AnchorStore } from './trust/anchor-store.ts';

/** Options of `EstIssuers`. */
export interface EstIssuersOptions {
  readonly stateDir: string;
  readonly log: Log;
}

type Parts = Pick<EstIssuerOptions, 'https' | 'anchors'>;

/** The EST servers of the configuration. Programs and anchors are loaded by the first order: few devices have one. */
export class EstIssuers implements AsyncDisposable {
  readonly #options: EstIssuersOptions;
  readonly #files = new CertificateFiles();
  readonly #prepared = new PreparedOrders();
  #client: HttpsClient | undefined;
  #anchors: Promise<AnchorStore> | undefined;
  #isClosed = false;

  constructor(options: EstIssuersOptions) {
    this.#options = options;
  }

  /** An issuer with the settings of a rule. */
  issuer(name: string, settings: EstSettings, identity: EstIssuerOptions['identity']): Issuer {
    const { log } = this.#options;
    const load = async () => {
      const { EstIssuer } = await import('./est-issuer.ts');
      return new EstIssuer({
        ...(await this.#parts()),
        name,
        settings,
        identity,
        prepared: this.#prepared,
        readFile: (path) => this.#files.read(path),
        password: () => readPassword(settings.passwordFile ?? ''),
        log,
      });
    };
    return {
      submit: async (order, via) => (await load()).submit(order, via),
      prepare: async (order, allowed, via) => (await load()).prepare(order, allowed, via),
    };
  }

  async #parts(): Promise<Parts> {
    const { HttpsClient } = await import('../../https/https-client.ts');
    this.#anchors ??= openAnchors(join(this.#options.stateDir, 'est-anchors'));
    // one that failed is tried again
    this.#anchors.catch(() => (this.#anchors = undefined));
    const anchors = await this.#anchors;
    if (this.#isClosed) throw new ServiceError('Unavailable', 'the service is stopping');
    this.#client ??= new HttpsClient();
    return { https: this.#client, anchors };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#client?.[Symbol.asyncDispose]();
  }
}

async function openAnchors(path: string): Promise<AnchorStore> {
  const { AnchorStore } = await import('./trust/anchor-store.ts');
  return AnchorStore.open(path);
}
