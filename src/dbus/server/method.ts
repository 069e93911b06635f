import { type ErrorCode, notOneOf, ServiceError } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import type { Check, MethodDefinition, NameKind, NameParsers } from '../definition.ts';
import { readersOf } from '../wire/codec.ts';
import type { IncomingMessage } from '../wire/inbox.ts';
import {
  ElementLimitError,
  maxFieldsBytes,
  type ValueReader,
  type WireReader,
} from '../wire/reader.ts';
import { MethodRequests } from './authorization-gate.ts';
import { recordToVariants } from './properties.ts';

/** The arguments of a call by name, options apart. */
export interface CallValues {
  [name: string]: unknown;
  readonly options: Record<string, unknown>;
}

/** The decoded arguments and options of a call. */
export interface CallArguments {
  readonly values: CallValues;
  /** The standard option `request_id`. */
  readonly requestId: string | undefined;
}

const requestIdOption = 'request_id';
/** The limit of any body, to which the declared limits of arguments and options are added. */
const baseBytes = 64 << 10;
/** The limit of elements of all arrays and dictionaries of one call. */
export const maxCallElements = 4096;
/** The bytes of an element besides its text: a length, a NUL and padding. */
const elementBytes = 32;
/** The limits of one word of an enumeration, and of a list of them. */
const maxWordBytes = 64;
const maxWordsBytes = 1024;

/** The codes that are declared for every method. */
const commonCodes: readonly ErrorCode[] = ['InvalidArgs', 'LimitsExceeded', 'Cancelled', 'Failed'];

/** A method of a table, prepared once so that calls are cheap. */
export class Method {
  readonly name: string;
  /** Creates the authorization requests for its calls. */
  readonly requests: MethodRequests;
  readonly resolves: boolean;
  /** Whether it has no effect besides its reply. */
  readonly reads: boolean;
  /** Whether its handler mostly waits: for an operation, or for another service. */
  readonly waits: boolean;
  readonly #definition: MethodDefinition;
  readonly #arguments: ArgumentReader;
  readonly #outSignature: string;
  readonly #outNames: readonly string[];
  readonly #checks: readonly (readonly [string, Check])[];

  constructor(name: string, definition: MethodDefinition) {
    this.name = name;
    this.reads = definition.reads === true;
    this.waits = definition.waits === true || definition.long === true;
    this.#definition = definition;
    this.#arguments = new ArgumentReader(name, definition);
    this.#outNames = Object.keys(definition.out ?? {});
    this.#checks = Object.entries(definition.check ?? {});
    this.#outSignature = Object.values(definition.out ?? {}).join('');
    this.requests = new MethodRequests(definition);
    this.resolves = definition.resolve !== undefined;
  }

  get signature(): string {
    return this.#arguments.signature;
  }

  get maxBodyBytes(): number {
    return this.#arguments.maxBodyBytes;
  }

  /** Whether the table declares the code for this method. */
  declares(code: ErrorCode): boolean {
    if (code === 'AccessDenied') return this.requests.checks.length > 0;
    return commonCodes.includes(code) || Object.hasOwn(this.#definition.errors ?? {}, code);
  }

  /**
   * Parses the arguments of a call with this method's signature, names by their parsers; InvalidArgs or
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

  /** The result of a handler as the body of a reply. */
  reply(result: unknown): { readonly signature: string; readonly body: readonly unknown[] } {
    return { signature: this.#outSignature, body: this.#encode(result) };
  }

  /** Wipes the bytes of a result that is secret. */
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

/** Checks that a text, or each of an array of texts, is one of the words; LimitsExceeded when it is far too long. */
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

/**
 * Reads the arguments of one method. This bounds the work of a call: its options come last, and reading ends at the
 * first one that is unknown, duplicate or of a wrong type, so that nothing undeclared is decoded.
 */
export class ArgumentReader {
  readonly signature: string;
  readonly maxBodyBytes: number;
  readonly #method: string;
  readonly #names: readonly string[];
  readonly #readers: readonly ValueReader[];
  readonly #options: ReadonlyMap<string, OptionReader>;
  readonly #secrets: readonly string[];

  constructor(method: string, definition: MethodDefinition) {
    const arguments_ = definition.in ?? {};
    const types = Object.values(arguments_).join('');
    this.#method = method;
    this.signature = `${types}a{sv}`;
    this.maxBodyBytes = maxBodyBytesOf(definition);
    this.#names = Object.keys(arguments_);
    this.#secrets = definition.secretArguments ?? [];
    this.#readers = readersOf(types);
    this.#options = new Map(
      Object.entries({ ...definition.options, [requestIdOption]: 's' }).map(([name, type]) => [
        name,
        optionReader(`option ${name} of ${method}`, type),
      ]),
    );
  }

  /** The arguments of a message of this method's signature; InvalidArgs or LimitsExceeded. */
  read(message: IncomingMessage): CallArguments {
    if (message.isSkipped) throw tooLarge(this.#method, message, this.maxBodyBytes);
    const reader = message.reader(maxCallElements);
    const options: Record<string, unknown> = {};
    const values: CallValues = { options };
    try {
      for (let at = 0; at < this.#names.length; at++) {
        values[this.#names[at] ?? ''] = this.#readers[at]?.(reader);
      }
      const requestId = this.#readOptions(reader, options);
      reader.expectEnd();
      return { values, requestId };
    } catch (error) {
      this.wipe(values);
      throw refusal(this.#method, error);
    }
  }

  /** Wipes the arguments that are secret. */
  wipe(values: Readonly<Record<string, unknown>>): void {
    for (const name of this.#secrets) {
      const value = values[name];
      if (value instanceof Uint8Array) value.fill(0);
    }
  }

  /** Reads the options of the table into `options`, and returns the request id. */
  #readOptions(reader: WireReader, options: Record<string, unknown>): string | undefined {
    let requestId: string | undefined;
    const end = reader.arrayEnd(8);
    while (reader.position < end) {
      reader.align(8);
      const name = reader.string();
      const option = this.#options.get(name);
      if (option === undefined) throw this.#unknownOption(name);
      const isRequestId = name === requestIdOption;
      if (isRequestId ? requestId !== undefined : Object.hasOwn(options, name)) {
        throw invalid(`${this.#method} was given the option ${name} twice`);
      }
      const type = reader.signature();
      const value = option.read(reader, type);
      if (isRequestId) requestId = parseRequestId(value);
      else options[name] = value;
    }
    if (reader.position !== end) throw new TypeError('array length does not fit its elements');
    return requestId;
  }

  #unknownOption(name: string): ServiceError {
    const accepted = [...this.#options.keys()].join(', ');
    return invalid(`${this.#method} has no option ${quoted(name)}; it has: ${accepted}`);
  }
}

/** LimitsExceeded for a body that was not received. */
export function tooLarge(member: string, message: IncomingMessage, limit: number): ServiceError {
  const { bodyBytes } = message.header;
  const text = `${member} with a body of ${bodyBytes} bytes, the limit is ${limit}`;
  return new ServiceError('LimitsExceeded', text);
}

/** LimitsExceeded for a header that is too large to be held. */
export function largeHeader(): ServiceError {
  const limit = `the limit is ${maxFieldsBytes >> 10} KiB`;
  return new ServiceError(
    'LimitsExceeded',
    `a call with too many bytes in header fields, ${limit}`,
  );
}

/** The error that the caller gets for a failure to decode. */
export function refusal(member: string, error: unknown): unknown {
  if (error instanceof ElementLimitError) {
    return new ServiceError('LimitsExceeded', `${member}: ${error.message}`);
  }
  const malformed = error instanceof RangeError || error instanceof TypeError;
  return malformed ? invalid(`${member}: ${error.message}`) : error;
}

function maxBodyBytesOf({ in: fields = {}, check = {} }: MethodDefinition): number {
  const declared = Object.values(check).map((one) =>
    typeof one === 'object' && 'maxBytes' in one ? one.maxBytes : 0,
  );
  const containers = Object.values(fields).filter((type) => type.startsWith('a') && type !== 'ay');
  const elements = containers.length > 0 ? maxCallElements * elementBytes : 0;
  return declared.reduce((sum, bytes) => sum + bytes, baseBytes + elements);
}

interface OptionReader {
  readonly read: (reader: WireReader, type: string) => unknown;
}

/** The integer types: bits, and whether signed. */
const integers: ReadonlyMap<string, readonly [number, boolean]> = new Map([
  ['y', [8, false]],
  ['n', [16, true]],
  ['q', [16, false]],
  ['i', [32, true]],
  ['u', [32, false]],
  ['x', [64, true]],
  ['t', [64, false]],
]);

/** Reads an option of the declared type; for an integer any integer type will do, since clients guess the type. */
function optionReader(name: string, declared: string): OptionReader {
  const [readDeclared] = readersOf(declared);
  if (readDeclared === undefined) throw new TypeError(`an option of type ${declared}`);
  return {
    read: (reader, type) => {
      if (type === declared) return readDeclared(reader);
      const [readGiven] = integers.has(type) ? readersOf(type) : [];
      if (!integers.has(declared) || readGiven === undefined) {
        throw invalid(`${name} has type ${declared}, not ${quoted(type)}`);
      }
      return asInteger(readGiven(reader), declared, name);
    },
  };
}

function asInteger(value: unknown, declared: string, name: string): number | bigint {
  const [bits, isSigned] = integers.get(declared) ?? [0, false];
  const number = BigInt(typeof value === 'bigint' ? value : Number(value));
  const fits = isSigned ? BigInt.asIntN(bits, number) : BigInt.asUintN(bits, number);
  if (fits !== number) throw invalid(`${name} is ${number}, out of the range of type ${declared}`);
  return bits === 64 ? number : Number(number);
}

function parseRequestId(value: unknown): string {
  if (typeof value === 'string' && /^[!-~]{1,64}$/.test(value)) return value;
  throw invalid('request_id has 1 to 64 printable characters');
}

function invalid(message: string): ServiceError {
  return new ServiceError('InvalidArgs', message);
}
