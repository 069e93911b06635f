import type { Bus } from '../../dbus/bus.ts';
import { type ServiceClient, serviceClient } from '../../dbus/client/client.ts';
import { type Via, within } from '../../dbus/client/via.ts';
import { Variant } from '../../dbus/wire/variant.ts';
import { isServiceError, ServiceError } from '../../errors.ts';
import { isId } from '../../ids.ts';
import { keyInterface, keysInterface, keysService } from '../../interfaces/keys.ts';
import { Mutex } from '../../service/mutex.ts';
import {
  type KeyAlgorithm,
  keyDigest,
  publicKeyOf,
  type SignatureAlgorithm,
  type Signer,
  signatureAlgorithmFor,
} from '../../x509/algorithm.ts';

/** The signing keys of CAs. */
export interface SigningKeys {
  /** Signs with the key of this id, and only if its public half is the given one; by default with the algorithm for it. */
  signer(keyId: string, spki: Buffer, via: Via, algorithm?: SignatureAlgorithm): Signer;
  /** Starts a lookup of keys by their public halves. */
  lookup(via: Via): KeyLookup;
  /** Whether there is a key of this id with another public half; false while the Keys service is unreachable. */
  contradicts(keyId: string, spki: Buffer, via: Via): Promise<boolean>;
}

/** The keys that certificates are ordered for. */
export interface OrderKeys extends SigningKeys {
  /** Creates a key pair that signs, unless there is one of this id that fits. */
  createPair(keyId: string, algorithms: readonly KeyAlgorithm[], via: Via): Promise<void>;
  /** The public half of a key in DER; undefined when there is no key pair of this id. */
  publicKey(keyId: string, via: Via): Promise<Buffer | undefined>;
  /** Deletes a key; a missing one is not an error. */
  deleteKey(keyId: string, via: Via): Promise<void>;
}

/** Whether the key of an id has a given public half; `unavailable` when it exists but is unreachable. */
export type KeyState = 'matches' | 'differs' | 'missing' | 'unavailable';

/** Looks up keys, reading each public half once. Rejects when the Keys service is unreachable. */
export interface KeyLookup {
  stateOf(keyId: string, spki: Buffer): Promise<KeyState>;
  /** The id of the key with this public half; tries the likely ids first. */
  find(spki: Buffer, likely: readonly string[]): Promise<string | undefined>;
}

type PublicHalf = Buffer | 'missing' | 'unavailable';

/** All key pairs, as far as a lookup has read them. */
interface ListedPairs {
  readonly ids: ReadonlySet<string>;
  readonly unread: Set<string>;
  /** The first id with each public half, which is the key as latin1. */
  readonly byHalf: Map<string, string>;
}

const objectManager = 'org.freedesktop.DBus.ObjectManager';
const lookupTimeoutMs = 10_000;
/** A token may take a minute for an RSA key. */
const creationTimeoutMs = 120_000;

/** The keys of the Keys service. */
export class BusKeys implements OrderKeys {
  readonly #bus: Bus;
  readonly #keys: ServiceClient<typeof keysInterface>;
  /** A token makes one key after the other: those of many orders at once would not be made in time. */
  readonly #creation = new Mutex();

  constructor(bus: Bus) {
    this.#bus = bus;
    this.#keys = serviceClient(bus, keysService, keysInterface);
  }

  signer(
    keyId: string,
    spki: Buffer,
    via: Via,
    algorithm = signatureAlgorithmFor(publicKeyOf(spki)),
  ): Signer {
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

  async createPair(keyId: string, algorithms: readonly KeyAlgorithm[], via: Via): Promise<void> {
    const call = { key_id: keyId, algorithms: [...algorithms], usages: ['sign'] };
    const create = (): Promise<unknown> =>
      this.#keys.CreateKeyPair(
        { ...call, options: { if_exists: 'keep' } },
        within(creationTimeoutMs, via),
      );
    await this.#creation.run(create, via.signal);
  }

  async publicKey(keyId: string, via: Via): Promise<Buffer | undefined> {
    const half = await this.#publicHalf(keyId, via);
    if (half === 'unavailable')
      throw new ServiceError('Unavailable', `the key "${keyId}" cannot be used now`);
    return half === 'missing' ? undefined : half;
  }

  async deleteKey(keyId: string, via: Via): Promise<void> {
    try {
      await this.#keys.DeleteKey({ key_id: keyId }, via);
    } catch (error) {
      if (!isServiceError(error, 'NotFound')) throw error;
    }
  }

  lookup(via: Via): KeyLookup {
    const halves = new Map<string, Promise<PublicHalf>>();
    const halfOf = (id: string): Promise<PublicHalf> => {
      const half = halves.get(id) ?? this.#publicHalf(id, via);
      halves.set(id, half);
      return half;
    };
    let pairs: Promise<ListedPairs> | undefined;
    const stateOf: KeyLookup['stateOf'] = async (id, spki) => stateOfHalf(await halfOf(id), spki);
    return {
      stateOf,
      find: async (spki, likely) => {
        const known = await pairs;
        for (const id of likely) {
          // a call for each of many certificates takes longer than their list
          if (known?.ids.has(id) === false) continue;
          if ((await stateOf(id, spki)) === 'matches') return id;
        }
        pairs ??= this.#pairs(via).then((ids) => ({
          ids,
          unread: new Set(ids),
          byHalf: new Map(),
        }));
        const { unread, byHalf } = await pairs;
        const wanted = spki.toString('latin1');
        for (const id of unread) {
          if (byHalf.has(wanted)) break;
          const half = await halfOf(id);
          // concurrent searches read the same halves
          if (unread.delete(id) && typeof half !== 'string') keepFirst(byHalf, half, id);
        }
        return byHalf.get(wanted);
      },
    };
  }

  async contradicts(keyId: string, spki: Buffer, via: Via): Promise<boolean> {
    try {
      return stateOfHalf(await this.#publicHalf(keyId, via), spki) === 'differs';
    } catch (error) {
      if (via.signal?.aborted === true) throw error;
      return false; // certificates can be stored without the Keys service
    }
  }

  /** The public half of a key; rejects when the Keys service is unreachable. */
  async #publicHalf(id: string, via: Via): Promise<PublicHalf> {
    try {
      const call = { key_id: id };
      return (await this.#keys.GetPublicKey(call, within(lookupTimeoutMs, via))).spki;
    } catch (error) {
      if (isServiceError(error, 'NotFound') || isServiceError(error, 'NotSupported')) {
        return 'missing';
      }
      if (isServiceError(error, 'Unavailable') && !via.signal.aborted) return 'unavailable';
      throw error;
    }
  }

  /** The ids of all key pairs of the Keys service. */
  async #pairs({ signal }: Via): Promise<ReadonlySet<string>> {
    const { busName: destination, path } = keysService;
    const call = { destination, path, interface: objectManager, member: 'GetManagedObjects' };
    const [objects] = await this.#bus.call(call, { signal, timeoutMs: lookupTimeoutMs });
    const ids = Object.values(asRecord(objects)).flatMap((interfaces) => {
      const properties = new Map(Object.entries(asRecord(asRecord(interfaces)[keyInterface.name])));
      const [id, kind] = [textOf(properties.get('KeyId')), textOf(properties.get('Kind'))];
      return kind === 'pair' && isId(id) ? [id] : [];
    });
    return new Set(ids);
  }
}

function keepFirst(byHalf: Map<string, string>, half: Buffer, id: string): void {
  const name = half.toString('latin1');
  if (!byHalf.has(name)) byHalf.set(name, id);
}

function stateOfHalf(half: PublicHalf, spki: Buffer): KeyState {
  if (typeof half === 'string') return half;
  return half.equals(spki) ? 'matches' : 'differs';
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function textOf(value: unknown): string {
  return value instanceof Variant && typeof value.value === 'string' ? value.value : '';
}
