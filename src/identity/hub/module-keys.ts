import type { ServiceClient } from '../../dbus/client/client.ts';
import type { Via } from '../../dbus/client/via.ts';
import type { keysInterface } from '../../interfaces/keys.ts';
import type { SavedModule } from '../state.ts';
import type { ModuleKeys } from './hub.ts';

/** The base key that all module keys are derived from. */
export const moduleBaseKey = 'iotedge/module-identities';

/** The derivation data of the primary or secondary key of a module. */
export function derivationOf(
  { moduleId, generationId }: Pick<SavedModule, 'moduleId' | 'generationId'>,
  which: 'primary' | 'secondary',
): Buffer {
  return Buffer.from(`${moduleId}:${generationId}:${which}`);
}

/** Derives the keys of modules from one base key in the Keys service. */
export class ModuleKeyring {
  readonly #keys: ServiceClient<typeof keysInterface>;

  constructor(keys: ServiceClient<typeof keysInterface>) {
    this.#keys = keys;
  }

  /** Creates the base key unless it exists. */
  async ensureBase(via: Via): Promise<void> {
    const options = { if_exists: 'keep', export_derived: true };
    await this.#keys.CreateKey(
      {
        key_id: moduleBaseKey,
        algorithm: 'hmac-sha256',
        usages: ['sign', 'derive'],
        options,
      },
      via,
    );
  }

  /** Passes both keys of a module to `use`, and wipes them afterwards. */
  async withKeys<T>(
    module: Pick<SavedModule, 'moduleId' | 'generationId'>,
    via: Via,
    use: (keys: ModuleKeys) => Promise<T>,
  ): Promise<T> {
    const primary = await this.#derive(derivationOf(module, 'primary'), via);
    try {
      const secondary = await this.#derive(derivationOf(module, 'secondary'), via);
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
  async sign(module: SavedModule, data: Buffer, via: Via): Promise<Buffer> {
    const { signature } = await this.#keys.Sign(
      {
        key_id: moduleBaseKey,
        mechanism: 'hmac-sha256',
        data,
        options: { derivation: derivationOf(module, 'primary') },
      },
      via,
    );
    return signature;
  }

  async #derive(derivation: Buffer, via: Via): Promise<Buffer> {
    const { material } = await this.#keys.ExportKey(
      { key_id: moduleBaseKey, format: 'raw', options: { derivation } },
      via,
    );
    return material;
  }
}
