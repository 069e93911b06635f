import { isId } from '../ids.ts';
import { type CommonConfig, commonProperties, type ParseContext } from '../service/config.ts';

/** What a key may be used for, as `keys: {<id>: {usages}}` says it. */
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
  /** What `preloaded_key:<id>` names. */
  readonly preloaded: Readonly<Record<string, PreloadedSource>>;
  /** What is not wrong and still should be known. */
  readonly warnings: readonly string[];
}

/** Where a preloaded key is. */
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

/** Gives the configuration its type; reports URIs that are none, ids that are none, and secrets that others can read. */
export function parseKeysConfig(value: unknown, context: ParseContext): KeysConfig {
  const checked = value as CommonConfig & Omit<KeysConfig, 'preloaded' | 'warnings'>; // by the schema
  const preloaded: Record<string, PreloadedSource> = {};
  for (const [name, setting] of Object.entries(checked)) {
    if (!name.startsWith(prefix)) continue;
    const source = parsePreloaded(name, String(setting), context);
    if (source !== undefined) preloaded[name.slice(prefix.length)] = source;
  }
  checkTokens(checked, preloaded, context);
  for (const id of Object.keys(checked.keys)) {
    if (!isId(id)) context.report(['keys', id], `${JSON.stringify(id)} is not a key id`);
  }
  return { ...checked, preloaded, warnings: checkPermissions(value, context) };
}

/** What is wrong with a PKCS#11 URI (RFC 7512), `undefined` when nothing is. Never quotes it: it may hold a PIN. */
export function faultOfUri(text: string): string | undefined {
  return uriFaults.find(([fault]) => fault.test(text))?.[1];
}

const uriFaults: readonly (readonly [RegExp, string])[] = [
  [/^(?!pkcs11:)/, 'it does not begin with "pkcs11:"'],
  [/%(?![0-9A-Fa-f]{2})/, 'it has a bad escape'],
  [/^[^?]*[^A-Za-z0-9\-._~:[\]@!$'()*+,=&/%;?]/, 'it has a character that must be escaped'],
  [/\?.*[^A-Za-z0-9\-._~:[\]@!$'()*+,=/?|%&]/, 'it has a character that must be escaped'],
  [/^pkcs11:(?:[^?]*;)?([^=;?]*)=[^?]*;\1=/, 'an attribute stands twice'],
  [/\?(?:[^&]*&)*?([^=&]*)=.*&\1=/, 'an attribute stands twice'],
  [
    /^pkcs11:(?!(?:(?:token|manufacturer|model|serial|slot-id|object|id|type)=[^;?]*(?:;(?=[^?])|(?=\?|$)))*(?:\?|$))/,
    'it has an attribute that is not known or not supported',
  ],
  [
    /\?(?!(?:(?:pin-value|pin-source|module-path)=[^&]*(?:&(?=.)|$))*$)/,
    'its query has an attribute that is not known or not supported',
  ],
  [/^[^?]*[:;]slot-id=(?![0-9]{1,15}(?:[;?]|$))/, 'slot-id is not decimal'],
  [/^[^?]*[:;]type=(?!(?:private|public|secret-key|cert|data)(?:[;?]|$))/, 'type is not known'],
  [
    /[?&]pin-value=.*&pin-source=|[?&]pin-source=.*&pin-value=/,
    'it has both pin-value and pin-source',
  ],
  [
    /[?&]pin-source=(?!(?:file:(?:\/\/(?:localhost)?)?)?(?:\/|%2[Ff]))/,
    'pin-source is not the absolute path of a file',
  ],
  [/[?&]module-path=(?!\/|%2[Ff])/, 'module-path is not absolute'],
];

function parsePreloaded(
  name: string,
  setting: string,
  { report }: Pick<ParseContext, 'report'>,
): PreloadedSource | undefined {
  const id = name.slice(prefix.length);
  if (!isId(id)) report([name], `${JSON.stringify(id)} is not a key id`);
  const file = /^file:(?:\/\/)?(\/.*)$/s.exec(setting)?.[1];
  if (file !== undefined) return { kind: 'file', path: file };
  if (!setting.startsWith('pkcs11:')) {
    report([name], 'neither a PKCS#11 URI nor file:///path');
    return undefined;
  }
  const fault = faultOfUri(setting);
  if (fault !== undefined) report([name], `not a usable PKCS#11 URI: ${fault}`);
  else if (!/^[^?]*[:;](?:object|id)=/.test(setting)) {
    report([name], 'the URI selects no object: it has neither object nor id');
  }
  return { kind: 'token', uri: setting };
}

function checkTokens(
  config: Omit<KeysConfig, 'preloaded' | 'warnings'>,
  preloaded: KeysConfig['preloaded'],
  { report }: Pick<ParseContext, 'report'>,
): void {
  const { pkcs11_base_slot: base, pkcs11_lib_path: library } = config;
  const checkUri = (at: readonly string[], text: string) => {
    const fault = faultOfUri(text);
    if (fault !== undefined) report(at, `not a usable PKCS#11 URI: ${fault}`);
  };
  const hasModule = (text: string) => library !== undefined || /[?&]module-path=/.test(text);
  if (base !== undefined) {
    checkUri(['pkcs11_base_slot'], base);
    if (!hasModule(base)) report(['pkcs11_base_slot'], 'pkcs11_lib_path is missing');
  } else if (config.symmetric_store === 'pkcs11') {
    report(['symmetric_store'], 'pkcs11 needs pkcs11_base_slot');
  }
  const tokens = Object.entries(config.tokens);
  for (const [name, { uri: text, module, pin_file: pinFile }] of tokens) {
    checkUri(['tokens', name, 'uri'], text);
    if (module === undefined && !hasModule(text)) {
      report(['tokens', name], 'module and pkcs11_lib_path are missing');
    }
    if (pinFile !== undefined && /[?&]pin-(value|source)=/.test(text)) {
      report(['tokens', name, 'pin_file'], 'the URI says already where the PIN is');
    }
  }
  for (const [id, source] of Object.entries(preloaded)) {
    if (source.kind === 'file' || hasModule(source.uri) || tokens.length > 0) continue;
    report([prefix + id], 'pkcs11_lib_path is missing');
  }
}

/** A file that everybody can read is worth a warning, and with a PIN in it the service does not start. */
function checkPermissions(value: unknown, context: ParseContext): readonly string[] {
  const isOpen = (mode: number) => (mode & 0o004) !== 0;
  for (const at of secretSettings(value, [])) {
    const source = context.sourceOf(at);
    if (source !== undefined && isOpen(source.mode)) {
      context.report(
        at,
        'a PIN stands in a file that everybody can read: chmod o-r, or pin-source',
      );
    }
  }
  return context.sources
    .filter(({ mode }) => isOpen(mode))
    .map((source) => `${source.path} can be read by everybody`);
}

function secretSettings(value: unknown, at: readonly string[]): readonly (readonly string[])[] {
  if (typeof value === 'string') return /\?(?:.*&)?pin-value=/.test(value) ? [at] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => secretSettings(inner, [...at, name]));
}
