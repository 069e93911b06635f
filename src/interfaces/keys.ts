import {
  type Check,
  defineInterface,
  defineService,
  type MethodAuthorization,
  type PolkitCheck,
  type TextArguments,
} from '../dbus/definition.ts';
import { describe, managerProperties } from './common.ts';
import {
  encryptMechanisms,
  keyKinds,
  keyOrigins,
  keyStates,
  keyStores,
  materialFormats,
  pairAlgorithms,
  pairUsages,
  signMechanisms,
  symmetricAlgorithms,
  symmetricUsages,
} from './enumerations.ts';
import { keysNotes } from './notes.ts';

const input: Check = { maxBytes: 1 << 20 };
/** The largest output of Encrypt can be decrypted: version byte, nonce and tag add to the input. */
const sealed: Check = { maxBytes: (1 << 20) + 29 };
const derivation: Check = { maxBytes: 1024 };
const keyId = { key_id: 'key-id' } as const;
const useOptions = { derivation: 'ay', public_key: 'ay' } as const;
const useCheck = { ...keyId, derivation, public_key: { maxBytes: 64 } } as const;
const signCheck = { ...useCheck, mechanism: { oneOf: signMechanisms } } as const;
const cipherCheck = {
  ...useCheck,
  mechanism: { oneOf: encryptMechanisms },
  aad: { maxBytes: 64 << 10 },
} as const;
const usages = [...new Set([...pairUsages, ...symmetricUsages])];
const newKeyCheck = {
  ...keyId,
  if_exists: { oneOf: ['fail', 'keep'] },
  store: { oneOf: keyStores },
} as const;

const Unavailable =
  'the token or file that holds the key, or may hold one of that id, cannot be used now';
const NotFound = 'there is no key of that id';
const newKeyErrors = {
  AlreadyExists: 'there is a key of that id, with `keep` one that does not fit',
  NotSupported:
    'the store cannot create or hold such a key, is not configured, or the id is preloaded',
  Unavailable,
} as const;
const useErrors = {
  NotFound: `${NotFound}, or with \`public_key\` another one has taken its place`,
  NotSupported:
    'the key is not for that use; it is a base key and no `derivation` was given, or no base key and one was',
  Unavailable,
} as const;

/** A base key whose derived keys may be exported counts as exportable. */
function exportable(text: TextArguments): string {
  return String(text['exportable'] === 'true' || text['export_derived'] === 'true');
}

/** PKCS#8 contains its algorithm, but is not parsed before the import is authorized. */
const newKey: PolkitCheck['details'] = {
  key_id: 'key_id',
  algorithm: 'algorithm',
  usages: (text) => text['usages'] || (text['algorithm'] === 'aes-256' ? 'encrypt' : 'sign'),
  exportable,
};

function use(verb: string): MethodAuthorization {
  return {
    action: `org.iotedge.keys1.${verb}`,
    details: ['key_id', 'mechanism', 'derivation'],
  };
}

/** The manager object of the Keys service. */
export const keysInterface = defineInterface({
  name: 'org.iotedge.Keys1',
  doc: 'Holds keys in PKCS#11 tokens and files; signs, verifies, encrypts and decrypts with them.',
  notes: keysNotes,
  methods: {
    CreateKeyPair: {
      doc: 'Creates a key pair of the first algorithm of the list that the store supports; no algorithms are `ec-p256`, `rsa-2048`, no usages are `sign`. Tokens may take longer than 25 s for RSA. With `if_exists` `keep` a key of that id that fits stays; the default is `fail`.',
      in: { key_id: 's', algorithms: 'as', usages: 'as' },
      options: { if_exists: 's', exportable: 'b', store: 's' },
      out: { key: 'o' },
      check: {
        ...newKeyCheck,
        algorithms: { oneOf: pairAlgorithms },
        usages: { oneOf: pairUsages },
      },
      authorize: {
        action: 'org.iotedge.keys1.create',
        details: {
          key_id: 'key_id',
          algorithm: (text) => text['algorithms'] || 'ec-p256,rsa-2048',
          usages: (text) => text['usages'] || 'sign',
          exportable: 'exportable',
        },
      },
      errors: newKeyErrors,
    },
    CreateKey: {
      doc: 'Creates a symmetric key; no usages are the one that its algorithm has beside `derive`. A key with `derive` is a base key, used only with option `derivation`. With `if_exists` `keep` a key of that id that fits stays; the default is `fail`.',
      in: { key_id: 's', algorithm: 's', usages: 'as' },
      options: { if_exists: 's', exportable: 'b', export_derived: 'b', store: 's' },
      out: { key: 'o' },
      check: {
        ...newKeyCheck,
        algorithm: { oneOf: symmetricAlgorithms },
        usages: { oneOf: symmetricUsages },
      },
      authorize: { action: 'org.iotedge.keys1.create', details: newKey },
      errors: newKeyErrors,
    },
    ImportKey: {
      doc: 'Stores key material: `raw` with its algorithm, or `pkcs8` (DER; a OneAsymmetricKey, SEC 1 and PKCS#1 are taken too, an encrypted key is not) with algorithm ``. A pair has one public key whatever form it came in: a named curve, a point that is not compressed. Usages and `if_exists` as in CreateKeyPair and CreateKey.',
      in: { key_id: 's', format: 's', material: 'ay', algorithm: 's', usages: 'as' },
      options: { if_exists: 's', exportable: 'b', export_derived: 'b', store: 's' },
      out: { key: 'o' },
      check: {
        ...newKeyCheck,
        format: { oneOf: materialFormats },
        material: { maxBytes: 16 << 10 },
        algorithm: { oneOf: [...symmetricAlgorithms, ''] },
        usages: { oneOf: usages },
        if_exists: { oneOf: ['fail', 'keep', 'replace'] },
      },
      secretArguments: ['material'],
      authorize: [
        { action: 'org.iotedge.keys1.import', details: newKey },
        {
          action: 'org.iotedge.keys1.delete',
          details: ['key_id'],
          when: (text) => text['if_exists'] === 'replace',
        },
      ],
      errors: newKeyErrors,
    },
    DeleteKey: {
      doc: 'Deletes a key; what was signed with it stays valid, what was encrypted with it is lost.',
      in: { key_id: 's' },
      check: keyId,
      authorize: { action: 'org.iotedge.keys1.delete', details: ['key_id'] },
      errors: {
        NotFound,
        NotSupported: 'the key is preloaded, or its store keeps it',
        Unavailable,
      },
    },
    GetPublicKey: {
      doc: 'The public half of a key pair as a DER SubjectPublicKeyInfo (RFC 5280 4.1).',
      reads: true,
      in: { key_id: 's' },
      out: { spki: 'ay' },
      check: keyId,
      authorize: 'public',
      errors: { NotFound, NotSupported: 'the key is symmetric', Unavailable },
    },
    Sign: {
      doc: 'Signs data; ECDSA signatures are DER, PSS uses MGF1 with the same hash and a salt of its length.',
      in: { key_id: 's', mechanism: 's', data: 'ay' },
      options: { ...useOptions, prehashed: 'b' },
      out: { signature: 'ay' },
      check: { ...signCheck, data: input },
      authorize: use('sign'),
      errors: useErrors,
    },
    Verify: {
      doc: 'Whether a signature is right; an error only for wrong arguments.',
      in: { key_id: 's', mechanism: 's', data: 'ay', signature: 'ay' },
      options: { ...useOptions, prehashed: 'b' },
      out: { valid: 'b' },
      check: { ...signCheck, data: input, signature: { maxBytes: 4096 } },
      authorize: use('verify'),
      errors: useErrors,
    },
    Encrypt: {
      doc: 'Encrypts: aes-256-gcm gives 0x01, nonce (12), ciphertext, tag (16); there is no chosen nonce.',
      in: { key_id: 's', mechanism: 's', input: 'ay' },
      options: { ...useOptions, aad: 'ay' },
      out: { output: 'ay' },
      check: { ...cipherCheck, input },
      secretArguments: ['input'],
      authorize: use('encrypt'),
      errors: useErrors,
    },
    Decrypt: {
      doc: 'Decrypts what Encrypt returned; every failure is the same error.',
      in: { key_id: 's', mechanism: 's', input: 'ay' },
      options: { ...useOptions, aad: 'ay' },
      out: { output: 'ay' },
      secret: true,
      check: { ...cipherCheck, input: sealed },
      authorize: use('decrypt'),
      errors: useErrors,
    },
    ExportKey: {
      doc: 'Returns the material of a key that was created exportable, or one derived from a base with export_derived.',
      in: { key_id: 's', format: 's' },
      options: { derivation: 'ay' },
      out: { material: 'ay' },
      secret: true,
      check: { ...keyId, format: { oneOf: materialFormats }, derivation },
      authorize: {
        action: 'org.iotedge.keys1.export',
        details: ['key_id', 'format', 'derivation'],
      },
      errors: {
        ...useErrors,
        NotSupported: 'the key was not created exportable, or not in that format',
      },
    },
    GetRandom: {
      doc: 'Random bytes, 4 KiB at most.',
      reads: true,
      in: { count: 'u' },
      out: { bytes: 'ay' },
      secret: true,
      check: { count: { maxValue: 4096 } },
      authorize: 'public',
    },
    Describe: describe,
  },
  properties: managerProperties,
});

/** A key. */
export const keyInterface = defineInterface({
  name: 'org.iotedge.Keys1.Key',
  doc: 'A key that the service holds.',
  properties: {
    KeyId: { type: 's', emits: 'const', doc: 'Its id.' },
    Kind: { type: 's', values: keyKinds, emits: 'const', doc: 'Key pair or symmetric key.' },
    Algorithm: {
      type: 's',
      values: [...pairAlgorithms, ...symmetricAlgorithms, ''],
      emits: 'true',
      doc: 'What it is, `` when not known.',
    },
    Usages: {
      type: 'as',
      values: usages,
      emits: 'true',
      doc: 'What it may be used for; with `derive` it is a base key, used by what is derived from it.',
    },
    Store: { type: 's', values: keyStores, emits: 'const', doc: 'What holds it.' },
    Origin: {
      type: 's',
      values: keyOrigins,
      emits: 'true',
      doc: 'Where it comes from; `foreign`: another program created it in the token.',
    },
    Exportable: { type: 'b', emits: 'true', doc: 'Whether ExportKey may return it.' },
    State: {
      type: 's',
      values: keyStates,
      emits: 'true',
      doc: 'Whether it can be used: its file or object may be damaged; its token unavailable, or its file because another user owns it or a newer version wrote it.',
    },
    Created: { type: 't', emits: 'true', doc: 'Microseconds since the epoch, 0 when not known.' },
  },
});

/** The Keys service. */
export const keysService = defineService({
  name: 'keys',
  doc: 'Holds keys in PKCS#11 tokens and files, and signs, encrypts and decrypts for callers.',
  busName: 'org.iotedge.Keys1',
  path: '/org/iotedge/Keys1',
  user: 'iotedge-keys',
  manager: keysInterface,
  child: { segment: 'key', interface: keyInterface },
  actions: {
    'org.iotedge.keys1.create': {
      description: 'Create a key',
      message: 'Authentication is required to create the key "$(key_id)" on this device',
    },
    'org.iotedge.keys1.import': {
      description: 'Import a key',
      message: 'Authentication is required to import the key "$(key_id)" into this device',
    },
    'org.iotedge.keys1.delete': {
      description: 'Delete a key',
      message: 'Authentication is required to delete the key "$(key_id)" of this device for good',
    },
    'org.iotedge.keys1.sign': {
      description: 'Sign with a key',
      message: 'Authentication is required to sign with the key "$(key_id)" of this device',
    },
    'org.iotedge.keys1.verify': {
      description: 'Verify with a key',
      message:
        'Authentication is required to verify a signature with the key "$(key_id)" of this device',
    },
    'org.iotedge.keys1.encrypt': {
      description: 'Encrypt with a key',
      message: 'Authentication is required to encrypt with the key "$(key_id)" of this device',
    },
    'org.iotedge.keys1.decrypt': {
      description: 'Decrypt with a key',
      message: 'Authentication is required to decrypt with the key "$(key_id)" of this device',
    },
    'org.iotedge.keys1.export': {
      description: 'Export a key',
      message: 'Authentication is required to copy the secret key "$(key_id)" out of this device',
    },
  },
});
