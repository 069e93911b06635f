import type { Bus } from '../dbus/bus.ts';
import { type ServiceClient, serviceClient } from '../dbus/client.ts';
import { Variant } from '../dbus/variant.ts';
import type { Via } from '../dbus/via.ts';
import { isServiceError } from '../errors.ts';
import { isId } from '../ids.ts';
import { keyInterface, keysInterface, keysService } from '../interfaces/keys.ts';
import { keyDigest, publicKeyOf, type Signer, signatureAlgorithmFor } from '../x509/algorithm.ts';

/** The keys that certificates are issued with. */
export interface SigningKeys {
  /** Signs with the key of this id, and only if its public half is the given one. */
  signer(keyId: string, spki: Buffer, via: Via): Signer;
  /** The id of the key whose public half this is; the likely ids are tried first. */
  find(spki: Buffer, likely: readonly string[], via: Via): Promise<string | undefined>;
  /** Whether there is a key of this id with another public half; false while the keys cannot be asked. */
  contradicts(keyId: string, spki: Buffer, via: Via): Promise<boolean>;
}

const objectManager = 'org.freedesktop.DBus.ObjectManager';
const lookupTimeoutMs = 10_000;

/** The keys of the Keys service. */
export class BusKeys implements SigningKeys {
  readonly #bus: Bus;
  readonly #keys: ServiceClient<typeof keysInterface>;

  constructor(bus: Bus) {
    this.#bus = bus;
    this.#keys = serviceClient(bus, keysService, keysInterface);
  }

  signer(keyId: string, spki: Buffer, via: Via): Signer {
    const algorithm = signatureAlgorithmFor(publicKeyOf(spki));
    return {
      algorithm,
      sign: async (message) => {
        const options = { public_key: keyDigest(spki) };
        const call = { key_id: keyId, mechanism: algorithm, data: message, options };
        const { signature } = await this.#keys.Sign(call, via);
        return signature;
      },
    };
  }

  async find(spki: Buffer, likely: readonly string[], via: Via): Promise<string | undefined> {
    for (const id of likely) {
      if (await this.#has(id, spki, via)) return id;
    }
    for (const id of await this.#pairs(via)) {
      if (!likely.includes(id) && (await this.#has(id, spki, via))) return id;
    }
    return undefined;
  }

  async contradicts(keyId: string, spki: Buffer, via: Via): Promise<boolean> {
    try {
      const known = await this.#publicHalf(keyId, via);
      return known !== undefined && !known.equals(spki);
    } catch (error) {
      if (via.signal?.aborted === true) throw error;
      return false; // certificates are stored whether the Keys service is there or not
    }
  }

  async #has(id: string, spki: Buffer, via: Via): Promise<boolean> {
    return (await this.#publicHalf(id, via))?.equals(spki) === true;
  }

  /** Undefined for a key that is not there, or has no public half at present. */
  async #publicHalf(id: string, via: Via): Promise<Buffer | undefined> {
    try {
      const options = { ...via, timeoutMs: lookupTimeoutMs };
      return (await this.#keys.GetPublicKey({ key_id: id }, options)).spki;
    } catch (error) {
      if (isServiceError(error, 'NotFound') || isServiceError(error, 'NotSupported')) {
        return undefined;
      }
      if (isServiceError(error, 'Unavailable') && via.signal?.aborted !== true) return undefined;
      throw error;
    }
  }

  /** The ids of all key pairs that the Keys service shows. */
  async #pairs({ signal }: Via): Promise<readonly string[]> {
    const { busName: destination, path } = keysService;
    const call = { destination, path, interface: objectManager, member: 'GetManagedObjects' };
    const [objects] = await this.#bus.call(call, { signal, timeoutMs: lookupTimeoutMs });
    return Object.values(asRecord(objects)).flatMap((interfaces) => {
      const properties = new Map(Object.entries(asRecord(asRecord(interfaces)[keyInterface.name])));
      const [id, kind] = [textOf(properties.get('KeyId')), textOf(properties.get('Kind'))];
      return kind === 'pair' && isId(id) ? [id] : [];
    });
  }
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function textOf(value: unknown): string {
  return value instanceof Variant && typeof value.value === 'string' ? value.value : '';
}
