import type { Client } from '../dbus/client.ts';
import type { keysInterface } from '../interfaces/keys.ts';
import type { ModuleKeys } from './hub.ts';
import { derivationOf, moduleBaseKey } from './record.ts';
import type { SavedModule } from './state.ts';

/** The keys of modules, which are derived from one base key in the Keys service. */
export class ModuleKeyring {
  readonly #keys: Client<typeof keysInterface>;

  constructor(keys: Client<typeof keysInterface>) {
    this.#keys = keys;
  }

  /** Makes the base key unless it is there. */
  async ensureBase(signal: AbortSignal): Promise<void> {
    const options = { if_exists: 'keep', export_derived: true };
    await this.#keys.CreateKey(
      {
        key_id: moduleBaseKey,
        algorithm: 'hmac-sha256',
        usages: ['sign', 'derive'],
        options,
      },
      { signal },
    );
  }

  /** Hands both keys of a module to `use`, and wipes them when it is done. */
  async withKeys<T>(
    module: Pick<SavedModule, 'moduleId' | 'generationId'>,
    signal: AbortSignal,
    use: (keys: ModuleKeys) => Promise<T>,
  ): Promise<T> {
    const primary = await this.#derive(derivationOf(module, 'primary'), signal);
    try {
      const secondary = await this.#derive(derivationOf(module, 'secondary'), signal);
      try {
        return await use({ primary, secondary });
      } finally {
        secondary.fill(0);
      }
    } finally {
      primary.fill(0);
    }
  }

  /** HMAC-SHA256 by the primary key of a module. */
  async sign(module: SavedModule, data: Buffer, signal: AbortSignal): Promise<Buffer> {
    const { signature } = await this.#keys.Sign(
      {
        key_id: moduleBaseKey,
        mechanism: 'hmac-sha256',
        data,
        options: { derivation: derivationOf(module, 'primary') },
      },
      { signal },
    );
    return signature;
  }

  async #derive(derivation: Buffer, signal: AbortSignal): Promise<Buffer> {
    const { material } = await this.#keys.ExportKey(
      { key_id: moduleBaseKey, format: 'raw', options: { derivation } },
      { signal },
    );
    return material;
  }
}
