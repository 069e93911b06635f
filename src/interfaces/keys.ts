import {
  type Authorization,
  type Check,
  defineInterface,
  defineService,
  type QuestionDefinition,
  type TextArguments,
} from '../dbus/definition.ts';
import { describe, managerProperties } from './common.ts';

const input: Check = { maxBytes: 1 << 20 };
/** What Encrypt makes of the largest input can be decrypted: form, nonce and tag come on top. */
const sealed: Check = { maxBytes: (1 << 20) + 29 };
/** One of a few words, or several of them. */
const word: Check = { maxBytes: 64 };
const words: Check = { maxBytes: 1024 };
const derivation: Check = { maxBytes: 1024 };
const keyId = { key_id: 'key-id' } as const;
const useOptions = { derivation: 'ay', public_key: 'ay' } as const;
const useCheck = { ...keyId, mechanism: word, derivation, public_key: word } as const;
const cipherCheck = { ...useCheck, aad: { maxBytes: 64 << 10 } } as const;
const newKeyCheck = {
  ...keyId,
  algorithm: word,
  usages: words,
  if_exists: word,
  store: word,
} as const;

/** A base key whose derived keys may leave is no less exportable than one that may itself. */
function exportable(text: TextArguments): string {
  return String(text['exportable'] === 'true' || text['export_derived'] === 'true');
}

/** PKCS#8 says its algorithm itself, and is not looked into before somebody may import it. */
const newKey: QuestionDefinition['details'] = {
  key_id: 'key_id',
  algorithm: 'algorithm',
  usages: (text) => text['usages'] || (text['algorithm'] === 'aes-256' ? 'encrypt' : 'sign'),
  exportable,
};

function use(verb: string): Authorization {
  return {
    action: `org.iotedge.keys1.${verb}`,
    details: ['key_id', 'mechanism', 'derivation'],
  };
}

/** The manager object of the Keys service. */
export const keysInterface = defineInterface({
  name: 'org.iotedge.Keys1',
  doc: 'Holds keys in PKCS#11 tokens and files; signs, verifies, encrypts and decrypts with them.',
  methods: {
    CreateKeyPair: {
      doc: 'Makes a key pair of the first algorithm of the list that the store can make.',
      in: { key_id: 's', algorithms: 'as', usages: 'as' },
      options: { if_exists: 's', exportable: 'b', store: 's' },
      out: { key: 'o' },
      check: { ...keyId, algorithms: words, usages: words, if_exists: word, store: word },
      authorize: {
        action: 'org.iotedge.keys1.create',
        details: {
          key_id: 'key_id',
          algorithm: (text) => text['algorithms'] || 'ec-p256,rsa-2048',
          usages: (text) => text['usages'] || 'sign',
          exportable: 'exportable',
        },
      },
    },
    CreateKey: {
      doc: 'Makes a symmetric key.',
      in: { key_id: 's', algorithm: 's', usages: 'as' },
      options: { if_exists: 's', exportable: 'b', export_derived: 'b', store: 's' },
      out: { key: 'o' },
      check: newKeyCheck,
      authorize: { action: 'org.iotedge.keys1.create', details: newKey },
    },
    ImportKey: {
      doc: 'Stores key material: `raw` with its algorithm, or `pkcs8` (DER) with algorithm ``.',
      in: { key_id: 's', format: 's', material: 'ay', algorithm: 's', usages: 'as' },
      options: { if_exists: 's', exportable: 'b', export_derived: 'b', store: 's' },
      out: { key: 'o' },
      check: { ...newKeyCheck, format: word, material: { maxBytes: 16 << 10 } },
      secretArguments: ['material'],
      authorize: [
        { action: 'org.iotedge.keys1.import', details: newKey },
        {
          action: 'org.iotedge.keys1.delete',
          details: ['key_id'],
          when: (text) => text['if_exists'] === 'replace',
        },
      ],
    },
    DeleteKey: {
      doc: 'Deletes a key; what was signed with it stays valid, what was encrypted with it is lost.',
      in: { key_id: 's' },
      check: keyId,
      authorize: { action: 'org.iotedge.keys1.delete', details: ['key_id'] },
    },
    GetPublicKey: {
      doc: 'The public half of a key pair as a DER SubjectPublicKeyInfo (RFC 5280 4.1).',
      reads: true,
      in: { key_id: 's' },
      out: { spki: 'ay' },
      check: keyId,
      authorize: 'public',
    },
    Sign: {
      doc: 'Signs data; ECDSA signatures are DER, PSS uses MGF1 with the same hash and a salt of its length.',
      in: { key_id: 's', mechanism: 's', data: 'ay' },
      options: { ...useOptions, prehashed: 'b' },
      out: { signature: 'ay' },
      check: { ...useCheck, data: input },
      authorize: use('sign'),
    },
    Verify: {
      doc: 'Whether a signature is right; an error only for wrong arguments.',
      in: { key_id: 's', mechanism: 's', data: 'ay', signature: 'ay' },
      options: { ...useOptions, prehashed: 'b' },
      out: { valid: 'b' },
      check: { ...useCheck, data: input, signature: { maxBytes: 4096 } },
      authorize: use('verify'),
    },
    Encrypt: {
      doc: 'Encrypts: aes-256-gcm gives 0x01, nonce (12), ciphertext, tag (16); there is no chosen nonce.',
      in: { key_id: 's', mechanism: 's', input: 'ay' },
      options: { ...useOptions, aad: 'ay' },
      out: { output: 'ay' },
      check: { ...cipherCheck, input },
      secretArguments: ['input'],
      authorize: use('encrypt'),
    },
    Decrypt: {
      doc: 'Undoes Encrypt; one error for every failure.',
      in: { key_id: 's', mechanism: 's', input: 'ay' },
      options: { ...useOptions, aad: 'ay' },
      out: { output: 'ay' },
      secret: true,
      check: { ...cipherCheck, input: sealed },
      authorize: use('decrypt'),
    },
    ExportKey: {
      doc: 'Hands out a key that was created exportable, or one derived from a base with export_derived.',
      in: { key_id: 's', format: 's' },
      options: { derivation: 'ay' },
      out: { material: 'ay' },
      secret: true,
      check: { ...keyId, format: word, derivation },
      authorize: {
        action: 'org.iotedge.keys1.export',
        details: ['key_id', 'format', 'derivation'],
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
    Kind: { type: 's', emits: 'const', doc: '`pair` or `symmetric`.' },
    Algorithm: { type: 's', emits: 'true', doc: 'Such as `ec-p256` or `hmac-sha256`.' },
    Usages: { type: 'as', emits: 'true', doc: 'Any of `sign`, `decrypt`, `encrypt`, `derive`.' },
    Store: { type: 's', emits: 'const', doc: '`pkcs11` or `file`.' },
    Origin: {
      type: 's',
      emits: 'true',
      doc: '`generated`, `imported`, `preloaded` or `foreign`.',
    },
    Exportable: { type: 'b', emits: 'true', doc: 'Whether ExportKey may hand it out.' },
    State: { type: 's', emits: 'true', doc: '`ok`, `damaged` or `unavailable`.' },
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
      message: 'Authentication is required to create the key $(key_id)',
    },
    'org.iotedge.keys1.import': {
      description: 'Import a key',
      message: 'Authentication is required to import the key $(key_id)',
    },
    'org.iotedge.keys1.delete': {
      description: 'Delete a key',
      message: 'Authentication is required to delete the key $(key_id)',
    },
    'org.iotedge.keys1.sign': {
      description: 'Sign with a key',
      message: 'Authentication is required to sign with the key $(key_id)',
    },
    'org.iotedge.keys1.verify': {
      description: 'Verify with a key',
      message: 'Authentication is required to verify with the key $(key_id)',
    },
    'org.iotedge.keys1.encrypt': {
      description: 'Encrypt with a key',
      message: 'Authentication is required to encrypt with the key $(key_id)',
    },
    'org.iotedge.keys1.decrypt': {
      description: 'Decrypt with a key',
      message: 'Authentication is required to decrypt with the key $(key_id)',
    },
    'org.iotedge.keys1.export': {
      description: 'Export a key',
      message: 'Authentication is required to export the key $(key_id)',
    },
  },
});
