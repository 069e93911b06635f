import { ServiceError } from '../errors.ts';
import type {
  Check,
  DetailSource,
  MethodDefinition,
  QuestionDefinition,
  TextArguments,
} from './definition.ts';
import { recordToVariants } from './properties.ts';
import { Variant } from './variant.ts';

/** What authorization is asked: an action and all its details. */
export interface Question {
  readonly action: string;
  readonly details: Readonly<Record<string, string>>;
}

/** The name in a text, by the kinds that the tables check for; InvalidArgs when it is none. */
export type NameChecks = Readonly<
  Record<'key-id' | 'certificate-id' | 'module-id' | 'module-name', (text: string) => string>
>;

interface CallValues {
  [name: string]: unknown;
  readonly options: Readonly<Record<string, unknown>>;
}

/** The arguments of a call, options apart. */
export interface CallArguments {
  readonly values: Readonly<CallValues>;
  /** The standard option `request_id`. */
  readonly requestId: string | undefined;
}

const requestIdPattern = /^[A-Za-z0-9-]{1,64}$/;
/** Longer details would fill polkit's, the verdict cache's and the journal's memory. */
const maxDetailLength = 1024;

/** A method of a table, prepared once so that a call costs little. */
export class Method {
  readonly name: string;
  readonly signature: string;
  readonly questions: readonly QuestionDefinition[];
  readonly resolves: boolean;
  readonly #definition: MethodDefinition;
  readonly #outSignature: string;
  readonly #inNames: readonly string[];
  readonly #outNames: readonly string[];
  readonly #checks: readonly (readonly [string, Check])[];
  /** Fields that a detail may show: bytes only when a detail names them, since they may be long. */
  readonly #shown: (readonly [string, string])[];

  constructor(name: string, definition: MethodDefinition) {
    const { authorize } = definition;
    this.name = name;
    this.#definition = definition;
    this.#inNames = Object.keys(definition.in ?? {});
    this.#outNames = Object.keys(definition.out ?? {});
    this.#checks = Object.entries(definition.check ?? {});
    this.signature = `${Object.values(definition.in ?? {}).join('')}a{sv}`;
    this.#outSignature = Object.values(definition.out ?? {}).join('');
    this.questions = authorize === 'public' ? [] : isList(authorize) ? authorize : [authorize];
    this.resolves = definition.resolve !== undefined;
    const named = new Set(this.questions.flatMap(({ details }) => Object.values(details)));
    this.#shown = Object.entries({ ...definition.in, ...definition.options }).filter(
      ([field, type]) => type !== 'ay' || named.has(field),
    );
  }

  /** The arguments of a body of this method's signature; InvalidArgs or LimitsExceeded when one is wrong. */
  parse(body: readonly unknown[], names: NameChecks): CallArguments {
    const { options, requestId } = this.#parseOptions(body.at(-1));
    const values: CallValues = { options };
    for (let at = 0; at < this.#inNames.length; at++) values[this.#inNames[at] ?? ''] = body[at];
    for (const [name, check] of this.#checks) {
      const value = Object.hasOwn(values, name) ? values[name] : options[name];
      if (value !== undefined) checkValue(name, value, check, names);
    }
    return { values, requestId };
  }

  #parseOptions(dictionary: unknown): {
    readonly options: Record<string, unknown>;
    readonly requestId: string | undefined;
  } {
    const options: Record<string, unknown> = {};
    let requestId: string | undefined;
    const known = this.#definition.options ?? {};
    if (typeof dictionary !== 'object' || dictionary === null) return { options, requestId };
    for (const [name, value] of Object.entries(dictionary)) {
      const signature = name === 'request_id' ? 's' : Object.hasOwn(known, name) ? known[name] : '';
      if (signature === '' || !(value instanceof Variant)) this.#refuseOption(name);
      if (value.signature !== signature) {
        throw invalid(
          `option ${name} of ${this.name} has type ${signature}, not ${value.signature}`,
        );
      }
      if (name === 'request_id') requestId = parseRequestId(value.value);
      else options[name] = value.value;
    }
    return { options, requestId };
  }

  #refuseOption(name: string): never {
    const known = Object.keys(this.#definition.options ?? {}).join(', ') || 'none';
    throw invalid(`${this.name} has no option ${JSON.stringify(name)}; it knows: ${known}`);
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

  /** The questions to ask about a call with these texts; LimitsExceeded when a detail is too long. */
  ask(texts: TextArguments): readonly Question[] {
    return this.questions
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

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

function invalid(message: string): ServiceError {
  return new ServiceError('InvalidArgs', message);
}

function parseRequestId(value: unknown): string {
  if (typeof value === 'string' && requestIdPattern.test(value)) return value;
  throw invalid('request_id is 1 to 64 letters, digits and hyphens');
}

function checkValue(name: string, value: unknown, check: Check, names: NameChecks): void {
  if (typeof check === 'string') {
    names[check](String(value));
    return;
  }
  const [size, limit, unit] =
    'maxBytes' in check
      ? [sizeOf(value), check.maxBytes, ' bytes']
      : [Number(value), check.maxValue, ''];
  if (size > limit) {
    throw new ServiceError('LimitsExceeded', `${name} is ${size}${unit}, the limit is ${limit}`);
  }
}

function sizeOf(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (value instanceof Uint8Array) return value.length;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.entries(value).reduce((sum, [key, item]) => sum + key.length + sizeOf(item), 0);
}

function detailsOf(
  details: QuestionDefinition['details'],
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

function isNames(details: QuestionDefinition['details']): details is readonly string[] {
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
