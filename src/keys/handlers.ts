import type { Handlers } from '../dbus/definition.ts';
import type { CallContext } from '../dbus/server/call.ts';
import type { ObjectManager } from '../dbus/server/object-manager.ts';
import { oneOf, ServiceError } from '../errors.ts';
import type { nameParsers } from '../ids.ts';
import { keyStores, materialFormats } from '../interfaces/enumerations.ts';
import type { keysInterface, keysService } from '../interfaces/keys.ts';
import {
  isSymmetricAlgorithm,
  parsePairAlgorithms,
  parsePairUsages,
  parseSymmetricAlgorithm,
  parseSymmetricUsages,
  type Usage,
} from './algorithm.ts';
import type { KeyOperations } from './key-operations.ts';
import { parseMaterial } from './material/material.ts';
import { randomSecret } from './material/secret-bytes.ts';
import { parseEncryptMechanism, parseSignMechanism, parseSignRequest } from './mechanism.ts';
import type { IfExists, KeyService, NewKey } from './service.ts';
import type { Material, StoreKind } from './store.ts';

/** The options of the methods that create keys. */
interface NewKeyOptions {
  readonly if_exists?: string | undefined;
  readonly exportable?: boolean | undefined;
  readonly export_derived?: boolean | undefined;
  readonly store?: string | undefined;
}

/** The options of the methods that use keys. */
interface UseOptions {
  readonly derivation?: Buffer | undefined;
  readonly public_key?: Buffer | undefined;
}

/** The dependencies of the handlers besides the service. */
export interface KeysHandlersOptions {
  readonly operations: KeyOperations;
  readonly objects: Pick<ObjectManager<typeof keysService>, 'pathOf'>;
}

/** The methods of the manager. */
export function keysHandlers(
  keys: KeyService,
  { operations, objects }: KeysHandlersOptions,
): Omit<Handlers<typeof keysInterface, CallContext, typeof nameParsers>, 'Describe'> {
  return {
    async CreateKeyPair({ key_id, algorithms, usages, options }, { cancellation }) {
      const wanted = parseNewKey(options, parsePairUsages(usages), ['fail', 'keep']);
      await keys.createPair(key_id, parsePairAlgorithms(algorithms), wanted, cancellation);
      return { key: objects.pathOf(key_id) };
    },
    async CreateKey({ key_id, algorithm, usages, options }, { cancellation }) {
      const parsed = parseSymmetricAlgorithm(algorithm);
      const wanted = parseNewKey(options, parseSymmetricUsages(parsed, usages), ['fail', 'keep']);
      await keys.createSymmetric(key_id, parsed, wanted, cancellation);
      return { key: objects.pathOf(key_id) };
    },
    async ImportKey({ key_id, format, material, algorithm, usages, options }, { cancellation }) {
      let parsed: Material | undefined;
      try {
        const known = algorithm === '' ? undefined : parseSymmetricAlgorithm(algorithm);
        parsed = parseMaterial(format, material, known);
        const parsedUsages = isSymmetricAlgorithm(parsed.algorithm)
          ? parseSymmetricUsages(parsed.algorithm, usages)
          : parsePairUsages(usages);
        const wanted = parseNewKey(options, parsedUsages, ['fail', 'keep', 'replace']);
        await keys.importKey(key_id, parsed, wanted, cancellation);
        return { key: objects.pathOf(key_id) };
      } finally {
        material.fill(0);
        parsed?.bytes.fill(0);
      }
    },
    async DeleteKey({ key_id }, { cancellation }) {
      await keys.deleteKey(key_id, cancellation);
      return {};
    },
    async GetPublicKey({ key_id }) {
      return { spki: await keys.publicKey(key_id) };
    },
    async Sign({ key_id, mechanism, data, options }, { cancellation }) {
      const { prehashed = false } = options;
      const request = parseSignRequest(parseSignMechanism(mechanism), data, prehashed);
      return { signature: await operations.sign(key_id, request, choiceOf(options), cancellation) };
    },
    async Verify({ key_id, mechanism, data, signature, options }, { cancellation }) {
      const { prehashed = false } = options;
      const request = parseSignRequest(parseSignMechanism(mechanism), data, prehashed);
      const given = { ...choiceOf(options), signature };
      return { valid: await operations.verify(key_id, request, given, cancellation) };
    },
    async Encrypt({ key_id, mechanism, input, options }, { cancellation }) {
      try {
        const cipher = { mechanism: parseEncryptMechanism(mechanism), input, aad: options.aad };
        return {
          output: await operations.encrypt(key_id, cipher, choiceOf(options), cancellation),
        };
      } finally {
        input.fill(0);
      }
    },
    async Decrypt({ key_id, mechanism, input, options }, { cancellation }) {
      const cipher = { mechanism: parseEncryptMechanism(mechanism), input, aad: options.aad };
      return { output: await operations.decrypt(key_id, cipher, choiceOf(options), cancellation) };
    },
    async ExportKey({ key_id, format, options }, { cancellation }) {
      const wanted = oneOf(format, 'a format of exports', materialFormats);
      return {
        material: await operations.exportKey(key_id, wanted, options.derivation, cancellation),
      };
    },
    GetRandom({ count }) {
      return { bytes: randomSecret(count) };
    },
  };
}

function choiceOf({ derivation, public_key: publicKey }: UseOptions) {
  return { derivation, publicKey };
}

function parseNewKey(
  options: NewKeyOptions,
  usages: readonly Usage[],
  allowed: readonly IfExists[],
): NewKey {
  const {
    if_exists: text = 'fail',
    exportable = false,
    export_derived: exportDerived = false,
  } = options;
  const ifExists = oneOf(text, 'a value of if_exists here', allowed);
  if (exportDerived && !(usages.includes('derive') && usages.includes('sign'))) {
    const message = 'export_derived is for base keys with usages sign and derive';
    throw new ServiceError('InvalidArgs', message);
  }
  return { usages, exportable, exportDerived, ifExists, store: parseStore(options.store) };
}

function parseStore(text: string | undefined): StoreKind | undefined {
  return text === undefined ? undefined : oneOf(text, 'a store', keyStores);
}
