import { isId } from '../../ids.ts';
import { holdsSecret, quoted } from '../../quoted.ts';
import { type CommonConfig, commonProperties } from '../../service/config/common-config.ts';
import { type ParseContext, parseAt } from '../../service/config/parse-context.ts';
import { type Pkcs11Uri, parseUri } from './pkcs11-uri.ts';

/** A usage in `keys: {<id>: {usages}}`. */
export type ConfiguredUsage = 'sign' | 'decrypt' | 'encrypt' | 'derive';

/** A token besides the base slot. */
export interface TokenConfig {
  readonly module?: string;
  readonly uri: string;
  readonly pin_file?: string;
}

/** `keys.yaml`. */
export interface KeysConfig extends CommonConfig {
  readonly pkcs11_lib_path?: string;
  readonly pkcs11_base_slot?: string;
  readonly symmetric_store?: 'pkcs11' | 'file';
  readonly tokens: Readonly<Record<string, TokenConfig>>;
  readonly keys: Readonly<Record<string, { readonly usages?: readonly ConfiguredUsage[] }>>;
  /** The keys of the settings `preloaded_key:<id>`, by id. */
  readonly preloaded: Readonly<Record<string, PreloadedSource>>;
}

/** The location of a preloaded key. */
export type PreloadedSource =
  | { readonly kind: 'token'; readonly uri: string }
  | { readonly kind: 'file'; readonly path: string };

const prefix = 'preloaded_key:';
const path = { type: 'string', pattern: '^/' };
const uri = { type: 'string', pattern: '^pkcs11:' };

const token = {
  type: 'object',
  properties: {
    module: { description: 'The PKCS#11 library, by default pkcs11_lib_path.', ...path },
    uri: { description: 'PKCS#11 URI (RFC 7512) of the token.', ...uri },
    pin_file: {
      description:
        'A file with the PIN, for example a systemd credential; instead of a pin-source.',
      ...path,
    },
  },
  required: ['uri'],
  additionalProperties: false,
};

const key = {
  type: 'object',
  properties: {
    usages: {
      description:
        'What a preloaded or foreign key is used for, instead of all that its token allows; with derive it is a base key.',
      type: 'array',
      items: { type: 'string', enum: ['sign', 'decrypt', 'encrypt', 'derive'] },
      minItems: 1,
      uniqueItems: true,
    },
  },
  additionalProperties: false,
};

/** The schema of `keys.yaml`. */
export const keysSchema = {
  $id: 'https://iotedge.org/schema/keys.schema.json',
  type: 'object',
  properties: {
    ...commonProperties,
    pkcs11_lib_path: { description: 'The PKCS#11 library of the tokens.', ...path },
    pkcs11_base_slot: {
      description: 'PKCS#11 URI of the token in which keys are created; without it keys are files.',
      ...uri,
    },
    symmetric_store: {
      description: 'Where symmetric keys are created; by default where key pairs are.',
      type: 'string',
      enum: ['pkcs11', 'file'],
    },
    tokens: {
      description: 'More tokens, by a name of your choice: their library and where their PIN is.',
      type: 'object',
      additionalProperties: token,
      default: {},
    },
    keys: {
      description: 'By the id of a key: what the token does not say.',
      type: 'object',
      additionalProperties: key,
      default: {},
    },
  },
  patternProperties: {
    [`^${prefix}.+$`]: {
      description: 'PKCS#11 URI of a key, or file:///path of a private key or of raw bytes.',
      type: 'string',
      minLength: 1,
    },
  },
  additionalProperties: false,
} as const;

/** `keys.yaml` after validation by the schema. */
type Checked = CommonConfig & Omit<KeysConfig, 'preloaded'>;

/** Parses a validated configuration; reports invalid URIs and ids, and secrets that other users can read. */
export function parseKeysConfig(value: unknown, context: ParseContext): KeysConfig {
  const checked = value as Checked; // validated by the schema
  const report: Report = (at, message) => context.report(at, message);
  const preloaded: Record<string, PreloadedSource> = {};
  for (const [name, setting] of Object.entries(checked)) {
    if (!name.startsWith(prefix)) continue;
    const source = parsePreloaded(name, String(setting), { checked, report });
    if (source !== undefined) preloaded[name.slice(prefix.length)] = source;
  }
  checkTokens(checked, report);
  checkKeys(checked, report);
  checkPermissions(context);
  return { ...checked, preloaded };
}

type Report = ParseContext['report'];

function parsePreloaded(
  name: string,
  setting: string,
  { checked, report }: { readonly checked: Checked; readonly report: Report },
): PreloadedSource | undefined {
  const id = name.slice(prefix.length);
  if (!isId(id)) report([name], `${quoted(id)} is not a key id`);
  const file = /^file:(?:\/\/)?(\/.*)$/s.exec(setting)?.[1];
  if (file !== undefined) return { kind: 'file', path: file };
  if (!setting.startsWith('pkcs11:')) {
    report([name], 'neither a PKCS#11 URI nor file:///path');
    return undefined;
  }
  const found = parseAt({ report }, [name], () => parseUri(setting));
  if (found === undefined) return undefined;
  const { object, id: ckaId } = found.objectSelector;
  if (object === undefined && ckaId === undefined) {
    report([name], 'the URI selects no object: it has neither object nor id');
  }
  const hasTokens = Object.keys(checked.tokens).length > 0;
  if (!hasTokens && lacksModule(checked, found)) report([name], 'pkcs11_lib_path is missing');
  return { kind: 'token', uri: setting };
}

function checkTokens(checked: Checked, report: Report): void {
  const { pkcs11_base_slot: base, symmetric_store: symmetric } = checked;
  if (base !== undefined) {
    const found = parseAt({ report }, ['pkcs11_base_slot'], () => parseUri(base));
    if (lacksModule(checked, found)) report(['pkcs11_base_slot'], 'pkcs11_lib_path is missing');
  } else if (symmetric === 'pkcs11') {
    report(['symmetric_store'], 'pkcs11 needs pkcs11_base_slot');
  }
  for (const [name, { uri: text, module, pin_file: pinFile }] of Object.entries(checked.tokens)) {
    const found = parseAt({ report }, ['tokens', name, 'uri'], () => parseUri(text));
    if (module === undefined && lacksModule(checked, found)) {
      report(['tokens', name], 'module and pkcs11_lib_path are missing');
    }
    if (pinFile !== undefined && found?.pin !== undefined) {
      report(['tokens', name, 'pin_file'], 'the URI says already where the PIN is');
    }
  }
}

function lacksModule({ pkcs11_lib_path: library }: Checked, found: Pkcs11Uri | undefined): boolean {
  return library === undefined && found !== undefined && found.modulePath === undefined;
}

function checkKeys({ keys }: Checked, report: Report): void {
  for (const [id, { usages = [] }] of Object.entries(keys)) {
    if (!isId(id)) report(['keys', id], `${quoted(id)} is not a key id`);
    const own = usages.filter((usage) => usage !== 'derive');
    const isBase = own.length < usages.length;
    if (isBase && (own.length !== 1 || own[0] === 'decrypt')) {
      report(['keys', id, 'usages'], 'derive needs one other usage, sign or encrypt');
    }
  }
}

/** Warns of a file that is readable by all users; with a secret in it, the configuration is invalid. */
function checkPermissions(context: ParseContext): void {
  const isOpen = ({ mode }: { readonly mode: number }) => (mode & 0o004) !== 0;
  context.reportTexts(
    (text, source) => isOpen(source) && holdsSecret(text),
    'a secret stands in a file that everybody can read: chmod o-r, or give a PIN by pin-source',
  );
  for (const source of context.sources) {
    if (isOpen(source)) context.warn(source, 'the file can be read by everybody: chmod o-r');
  }
}
