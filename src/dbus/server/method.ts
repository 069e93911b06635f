import { type ErrorCode, notOneOf, ServiceError } from '../../errors.ts';
import {
  type Check,
  type DetailSource,
  type MethodAuthorization,
  type MethodDefinition,
  type NameKind,
  type NameParsers,
  type PolkitCheck,
  polkitChecksOf,
  type TextArguments,
} from '../definition.ts';
import type { IncomingMessage } from '../wire/inbox.ts';
import { ArgumentReader, type CallArguments } from './arguments.ts';
import { recordToVariants } from './properties.ts';

export type { CallArguments } from './arguments.ts';

/** What authorization is asked: an action and all its details. */
export interface AuthorizationRequest {
  readonly action: string;
  readonly details: Readonly<Record<string, string>>;
}

/** Longer details would fill polkit's, the verdict cache's and the journal's memory. */
const maxDetailLength = 1024;

/** What one word of an enumeration, and a list of them, may have. */
const maxWordBytes = 64;
const maxWordsBytes = 1024;

/** What every handler may fail with. */
const commonCodes: readonly ErrorCode[] = ['InvalidArgs', 'LimitsExceeded', 'Cancelled', 'Failed'];

/** A method of a table, prepared once so that a call costs little. */
export class Method {
  readonly name: string;
  readonly polkitChecks: readonly PolkitCheck[];
  readonly resolves: boolean;
  /** Whether it has no effect but its reply. */
  readonly reads: boolean;
  /** Whether its handler mostly waits: for an operation, or for another service. */
  readonly waits: boolean;
  readonly #definition: MethodDefinition;
  readonly #arguments: ArgumentReader;
  readonly #outSignature: string;
  readonly #outNames: readonly string[];
  readonly #checks: readonly (readonly [string, Check])[];
  /** Fields that a detail may show: bytes only when a detail names them, since they may be long. */
  readonly #shown: (readonly [string, string])[];

  constructor(name: string, definition: MethodDefinition) {
    const { authorize } = definition;
    this.name = name;
    this.reads = definition.reads === true;
    this.waits = definition.waits === true || definition.long === true;
    this.#definition = definition;
    this.#arguments = new ArgumentReader(name, definition);
    this.#outNames = Object.keys(definition.out ?? {});
    this.#checks = Object.entries(definition.check ?? {});
    this.#outSignature = Object.values(definition.out ?? {}).join('');
    this.polkitChecks = polkitChecksOf(authorize);
    this.resolves = definition.resolve !== undefined;
    const named = new Set(this.polkitChecks.flatMap(({ details }) => Object.values(details)));
    this.#shown = Object.entries({ ...definition.in, ...definition.options }).filter(
      ([field, type]) => type !== 'ay' || named.has(field),
    );
  }

  get signature(): string {
    return this.#arguments.signature;
  }

  /** How large the body of a call may be. */
  get maxBodyBytes(): number {
    return this.#arguments.maxBodyBytes;
  }

  /** Whether the table says that a handler or resolver may fail with it. */
  declares(code: ErrorCode): boolean {
    if (code === 'AccessDenied') return this.polkitChecks.length > 0;
    return commonCodes.includes(code) || Object.hasOwn(this.#definition.errors ?? {}, code);
  }

  /**
   * The arguments of a call with this method's signature, names as their parsers return them; InvalidArgs or
   * LimitsExceeded when one is wrong.
   */
  parse(message: IncomingMessage, names: NameParsers): CallArguments {
    const args = this.#arguments.read(message);
    try {
      this.#check(args, names);
    } catch (error) {
      this.wipeArguments(args);
      throw error;
    }
    return args;
  }

  #check({ values }: CallArguments, names: NameParsers): void {
    for (const [name, check] of this.#checks) {
      const given = Object.hasOwn(values, name) ? values : values.options;
      const value = given[name];
      if (value === undefined) continue;
      if (typeof check === 'string') given[name] = parseName(value, names[check]);
      else checkValue(name, value, check);
    }
  }

  /** Wipes the arguments that are secret. */
  wipeArguments({ values }: CallArguments): void {
    this.#arguments.wipe(values);
  }

  /** Every argument and option that a detail may show, as it shows it; LimitsExceeded for too many bytes. */
  texts({ values }: CallArguments): Record<string, string> {
    const texts: Record<string, string> = {};
    for (const [name, type] of this.#shown) {
      const value = Object.hasOwn(values, name) ? values[name] : values.options[name];
      if (value instanceof Uint8Array) checkDetail(name, value);
      texts[name] = value === undefined && type === 'b' ? 'false' : textOf(value);
    }
    return texts;
  }

  /** The requests about a call with these texts; LimitsExceeded when a detail is too long. */
  ask(texts: TextArguments): readonly AuthorizationRequest[] {
    return askedOf(this.#definition.authorize, texts)
      .filter(({ when }) => when === undefined || when(texts))
      .map(({ action, details }) => ({
        action: typeof action === 'string' ? action : action.choose(texts),
        details: detailsOf(details, texts),
      }));
  }

  /** What a handler returned, in the order and form of the wire. */
  reply(result: unknown): { readonly signature: string; readonly body: readonly unknown[] } {
    return { signature: this.#outSignature, body: this.#encode(result) };
  }

  /** Wipes the bytes of what a handler returned, when they are secret. */
  wipe(result: unknown): void {
    if (this.#definition.secret !== true || typeof result !== 'object' || result === null) return;
    for (const value of Object.values(result)) if (value instanceof Uint8Array) value.fill(0);
  }

  #encode(result: unknown): readonly unknown[] {
    if (this.#outNames.length === 0) return [];
    const results = new Map(
      typeof result === 'object' && result !== null ? Object.entries(result) : [],
    );
    return this.#outNames.map((name) => {
      const value: unknown = results.get(name);
      const fields = this.#definition.records?.[name];
      if (fields === undefined) return value;
      if (!Array.isArray(value)) return recordToVariants(fields, value);
      return value.map((item) => recordToVariants(fields, item));
    });
  }
}

function askedOf(authorize: MethodAuthorization, texts: TextArguments): readonly PolkitCheck[] {
  if (authorize === 'public' || !('among' in authorize)) return polkitChecksOf(authorize);
  const { among, choose } = authorize;
  const chosen = choose(texts);
  const check = Object.hasOwn(among, chosen) ? among[chosen] : undefined;
  if (check === undefined) throw new TypeError(`${chosen} is none of the questions`);
  return [check];
}

function parseName(value: unknown, parse: (text: string) => string): string {
  return parse(String(value));
}

function checkValue(name: string, value: unknown, check: Exclude<Check, NameKind>): void {
  if ('oneOf' in check) {
    checkWords(name, value, check.oneOf);
    return;
  }
  if ('maxBytes' in check) checkSize(name, sizeOf(value), check.maxBytes, ' bytes');
  else checkSize(name, Number(value), check.maxValue, '');
}

function checkSize(name: string, size: number, limit: number, unit: string): void {
  if (size <= limit) return;
  throw new ServiceError('LimitsExceeded', `${name} is ${size}${unit}, the limit is ${limit}`);
}

/** A text, or each of an array of texts, must be one of the words; more bytes than words have are too many. */
function checkWords(name: string, value: unknown, known: readonly string[]): void {
  const words: readonly unknown[] = Array.isArray(value) ? value : [value];
  checkSize(name, sizeOf(value), Array.isArray(value) ? maxWordsBytes : maxWordBytes, ' bytes');
  for (const word of words.map(String)) {
    if (!known.includes(word)) throw notOneOf(word, `a value of ${name}`, known);
  }
}

function sizeOf(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (value instanceof Uint8Array) return value.length;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.entries(value).reduce((sum, [key, item]) => sum + key.length + sizeOf(item), 0);
}

function detailsOf(
  details: PolkitCheck['details'],
  texts: TextArguments,
): Readonly<Record<string, string>> {
  const sources: readonly (readonly [string, DetailSource])[] = isNames(details)
    ? details.map((name) => [name, name])
    : Object.entries(details);
  return Object.fromEntries(
    sources.map(([name, source]) => {
      const detail = typeof source === 'string' ? (texts[source] ?? '') : source(texts);
      checkDetail(name, detail);
      return [name, detail];
    }),
  );
}

function checkDetail(name: string, { length }: { readonly length: number }): void {
  if (length <= maxDetailLength) return;
  const message = `${name} has ${length} characters, the limit is ${maxDetailLength}`;
  throw new ServiceError('LimitsExceeded', message);
}

function isNames(details: PolkitCheck['details']): details is readonly string[] {
  return Array.isArray(details);
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean' || typeof value === 'number' || typeof value === 'bigint') {
    return String(value);
  }
  if (value instanceof Uint8Array) return bytesToText(value);
  return Array.isArray(value) ? value.map(textOf).join(',') : '';
}

/** Printable ASCII as it is, every other byte and `%` as %XX: readable in rules, and never ambiguous. */
export function bytesToText(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) {
    const plain = byte >= 0x21 && byte <= 0x7e && byte !== 0x25;
    text += plain
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}
