import { isAbsolute } from 'node:path';

/** The attributes of a PKCS#11 URI (RFC 7512) that select a token. */
export interface TokenSelector {
  readonly token?: string;
  readonly manufacturer?: string;
  readonly model?: string;
  readonly serial?: string;
  readonly slotId?: number;
}

/** The attributes that select an object on the token. */
export interface ObjectSelector {
  readonly object?: string;
  readonly id?: Buffer;
  readonly type?: ObjectType;
}

/** The values of the attribute `type`. */
export type ObjectType = 'private' | 'public' | 'secret-key' | 'cert' | 'data';

/** The location of a PIN, or the PIN itself, which is a secret: a source is never printed. */
export type PinSource =
  | { readonly kind: 'value'; readonly value: string }
  | { readonly kind: 'file'; readonly path: string };

/** A parsed PKCS#11 URI. */
export interface Pkcs11Uri {
  readonly tokenSelector: TokenSelector;
  readonly objectSelector: ObjectSelector;
  readonly pin: PinSource | undefined;
  readonly modulePath: string | undefined;
}

const unsupportedAttributes = /^(slot-(manufacturer|description)|library-.*|module-name)$/;
const objectTypes: readonly ObjectType[] = ['private', 'public', 'secret-key', 'cert', 'data'];

/** One of the two parts of a URI. */
interface Part {
  readonly part: 'path' | 'query';
  readonly separator: ';' | '&';
  readonly known: ReadonlySet<string>;
  /**
   * The characters permitted in a value besides percent-escapes: pk11-pchar and pk11-qchar of RFC 7512 2.3, and the
   * space, which is unambiguous and appears in the labels of Azure's documentation.
   */
  readonly characters: RegExp;
}

const pathPart: Part = {
  part: 'path',
  separator: ';',
  known: new Set([
    'token',
    'manufacturer',
    'model',
    'serial',
    'slot-id',
    'slot-manufacturer',
    'slot-description',
    'library-manufacturer',
    'library-description',
    'library-version',
    'object',
    'id',
    'type',
  ]),
  characters: /^[A-Za-z0-9\-._~:[\]@!$'()*+,=&/ ]*$/,
};
const queryPart: Part = {
  part: 'query',
  separator: '&',
  known: new Set(['pin-value', 'pin-source', 'module-path', 'module-name']),
  characters: /^[A-Za-z0-9\-._~:[\]@!$'()*+,=/?| ]*$/,
};

/**
 * Parses a PKCS#11 URI strictly: TypeError for a duplicate, unknown or unsupported attribute (including `x-` ones:
 * ignoring a selector would match more objects than intended), an invalid escape, a slot-id that is not decimal, and
 * both kinds of PIN together. Messages quote only known names of attributes: by mistake, a PIN may be anywhere.
 */
export function parseUri(text: string): Pkcs11Uri {
  if (!text.startsWith('pkcs11:')) reject('it does not begin with "pkcs11:"');
  const rest = text.slice('pkcs11:'.length);
  const mark = rest.indexOf('?');
  const path = split(mark < 0 ? rest : rest.slice(0, mark), pathPart);
  const query = split(mark < 0 ? '' : rest.slice(mark + 1), queryPart);
  return {
    tokenSelector: tokenSelector(path),
    objectSelector: objectSelector(path),
    pin: pinSource(query),
    modulePath: modulePath(query),
  };
}

/** Formats the URI that selects the same token and object, without a query. */
export function formatUri(token: TokenSelector, object: ObjectSelector = {}): string {
  const parts: string[] = [];
  const add = (name: string, value: string | number | undefined) => {
    if (value !== undefined) parts.push(`${name}=${encodeURIComponent(value)}`);
  };
  add('slot-id', token.slotId);
  add('token', token.token);
  add('manufacturer', token.manufacturer);
  add('model', token.model);
  add('serial', token.serial);
  add('object', object.object);
  if (object.id !== undefined) {
    parts.push(`id=${[...object.id].map((byte) => `%${hex(byte)}`).join('')}`);
  }
  add('type', object.type);
  return `pkcs11:${parts.join(';')}`;
}

function split(
  text: string,
  { part, separator, known, characters }: Part,
): ReadonlyMap<string, Buffer> {
  const attributes = new Map<string, Buffer>();
  if (text === '') return attributes;
  for (const pair of text.split(separator)) {
    const equals = pair.indexOf('=');
    if (equals < 0) reject('an attribute has no "="');
    const name = pair.slice(0, equals);
    if (!known.has(name)) reject(`an attribute of its ${part} is not known`);
    if (attributes.has(name)) reject(`${name} stands twice`);
    if (unsupportedAttributes.test(name)) reject(`${name} is not supported`);
    attributes.set(name, unescape(name, pair.slice(equals + 1), characters));
  }
  return attributes;
}

function unescape(name: string, value: string, characters: RegExp): Buffer {
  const plain = value.replace(/%[0-9A-Fa-f]{2}/g, '');
  if (plain.includes('%')) reject(`${name} has a bad escape`);
  if (!characters.test(plain)) {
    reject(`${name} has a character that must be escaped`);
  }
  const bytes = value.replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  return Buffer.from(bytes, 'latin1');
}

function textOf(attributes: ReadonlyMap<string, Buffer>, name: string): string | undefined {
  const bytes = attributes.get(name);
  if (bytes === undefined) return undefined;
  const text = bytes.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(bytes)) reject(`${name} is not UTF-8`);
  if (text.includes('\0')) reject(`${name} contains a null character`);
  return text;
}

function tokenSelector(path: ReadonlyMap<string, Buffer>): TokenSelector {
  const slot = textOf(path, 'slot-id');
  if (slot !== undefined && !/^[0-9]{1,15}$/.test(slot)) reject('slot-id is not decimal');
  return {
    ...optional('token', textOf(path, 'token')),
    ...optional('manufacturer', textOf(path, 'manufacturer')),
    ...optional('model', textOf(path, 'model')),
    ...optional('serial', textOf(path, 'serial')),
    ...optional('slotId', slot === undefined ? undefined : Number(slot)),
  };
}

function objectSelector(path: ReadonlyMap<string, Buffer>): ObjectSelector {
  const text = textOf(path, 'type');
  const type = objectTypes.find((candidate) => candidate === text);
  if (text !== undefined && type === undefined) reject('type is not known');
  return {
    ...optional('object', textOf(path, 'object')),
    ...optional('id', path.get('id')),
    ...optional('type', type),
  };
}

function pinSource(query: ReadonlyMap<string, Buffer>): PinSource | undefined {
  const value = textOf(query, 'pin-value');
  const source = textOf(query, 'pin-source');
  if (value !== undefined && source !== undefined) reject('it has both pin-value and pin-source');
  if (value !== undefined) return { kind: 'value', value };
  if (source === undefined) return undefined;
  const path = source.replace(/^file:(\/\/(localhost)?(?=\/))?/, '');
  if (!isAbsolute(path)) reject('pin-source is not the absolute path of a file');
  return { kind: 'file', path };
}

function modulePath(query: ReadonlyMap<string, Buffer>): string | undefined {
  const path = textOf(query, 'module-path');
  if (path !== undefined && !isAbsolute(path)) reject('module-path is not absolute');
  return path;
}

function optional<K extends string, V>(name: K, value: V | undefined): { readonly [P in K]?: V } {
  // the computed key of an object literal is typed as string: the one name is known here
  return value === undefined ? {} : ({ [name]: value } as { readonly [P in K]: V });
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

function reject(reason: string): never {
  throw new TypeError(`not a usable PKCS#11 URI: ${reason}`);
}
