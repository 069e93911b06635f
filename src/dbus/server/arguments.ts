import { ServiceError } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import type { MethodDefinition } from '../definition.ts';
import { readersOf } from '../wire/codec.ts';
import type { IncomingMessage } from '../wire/inbox.ts';
import {
  ElementLimitError,
  maxFieldsBytes,
  type ValueReader,
  type WireReader,
} from '../wire/reader.ts';

/** The arguments of a call by name, options apart. */
export interface CallValues {
  [name: string]: unknown;
  readonly options: Record<string, unknown>;
}

/** What a call was given. */
export interface CallArguments {
  readonly values: CallValues;
  /** The standard option `request_id`. */
  readonly requestId: string | undefined;
}

const requestIdOption = 'request_id';
/** Any body may be so large; arguments and options with a limit of their own add it. */
const baseBytes = 64 << 10;
/** Arrays and dictionaries of one call have so many elements in all. */
export const maxCallElements = 4096;
/** What an element costs beside its text: a length, a NUL, and what aligns it. */
const elementBytes = 32;

/**
 * Reads the arguments of one method. The work of a call is bounded here: its options stand last, and the first one
 * that is unknown, given twice or of a wrong type ends the reading, so that nothing is decoded that is not declared.
 */
export class ArgumentReader {
  readonly signature: string;
  /** How large the body of a call may be. */
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

/** LimitsExceeded for a header that was not read whole. */
export function largeHeader(): ServiceError {
  const limit = `the limit is ${maxFieldsBytes >> 10} KiB`;
  return new ServiceError(
    'LimitsExceeded',
    `a call with too many bytes in header fields, ${limit}`,
  );
}

/** What a failure to decode is to the caller. */
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

/** A value of the declared type; of an integer any integer type that holds its value, since clients guess them. */
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
