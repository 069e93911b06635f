import { ServiceError } from '../../errors.ts';
import {
  type DetailSource,
  type MethodAuthorization,
  type MethodDefinition,
  type PolkitCheck,
  polkitChecksOf,
  type TextArguments,
} from '../definition.ts';
import type { CallContext } from './call.ts';

/** A request for authorization: an action and all its details. */
export interface AuthorizationRequest {
  readonly action: string;
  readonly details: Readonly<Record<string, string>>;
}

/** Longer details would fill the memory of polkit, of the verdict cache and of the journal. */
const maxDetailLength = 1024;

/** Authorizes calls: returns undefined for an immediate yes; throws or rejects to deny. */
export interface Authorizer {
  authorize(request: AuthorizationRequest, call: CallContext): Promise<void> | undefined;
}

/** Is notified of each decision; without an error it is a yes. */
export type DecisionListener = (
  call: CallContext,
  request: AuthorizationRequest,
  error: unknown,
) => void;

/** Asks an authorizer for the authorization of a call, one request after the other. */
export class AuthorizationGate {
  readonly #authorizer: Authorizer;
  readonly #decided: DecisionListener;

  constructor(authorizer: Authorizer, decided: DecisionListener) {
    this.#authorizer = authorizer;
    this.#decided = decided;
  }

  /** Undefined when every request was granted at once; throws or rejects with the first denial. */
  ask(requests: readonly AuthorizationRequest[], call: CallContext): Promise<void> | undefined {
    for (const [at, request] of requests.entries()) {
      const decision = this.#askOne(request, call);
      if (decision === undefined) continue;
      const rest = requests.slice(at + 1);
      return decision.then(() => this.ask(rest, call));
    }
    return undefined;
  }

  #askOne(request: AuthorizationRequest, call: CallContext): Promise<void> | undefined {
    const refused = (error: unknown): never => {
      this.#decided(call, request, error);
      throw error;
    };
    try {
      const decision = this.#authorizer.authorize(request, call);
      if (decision !== undefined) {
        return decision.then(() => this.#decided(call, request, undefined), refused);
      }
    } catch (error) {
      return refused(error);
    }
    this.#decided(call, request, undefined);
    return undefined;
  }
}

/** Creates the authorization requests for calls of a method, prepared once from its definition. */
export class MethodRequests {
  /** Every check that may apply to a call. */
  readonly checks: readonly PolkitCheck[];
  readonly #authorize: MethodAuthorization;
  /** Fields that a detail may show: bytes only when a detail names them, since they may be long. */
  readonly #visible: (readonly [string, string])[];

  constructor({ authorize, in: fields, options }: MethodDefinition) {
    this.#authorize = authorize;
    this.checks = polkitChecksOf(authorize);
    const named = new Set(this.checks.flatMap(({ details }) => Object.values(details)));
    this.#visible = Object.entries({ ...fields, ...options }).filter(
      ([field, type]) => type !== 'ay' || named.has(field),
    );
  }

  /** Every argument and option that a detail may show, as text; LimitsExceeded for too many bytes. */
  texts(values: ShownValues): Record<string, string> {
    const texts: Record<string, string> = {};
    for (const [name, type] of this.#visible) {
      const value = Object.hasOwn(values, name) ? values[name] : values.options[name];
      if (value instanceof Uint8Array) checkDetail(name, value);
      texts[name] = value === undefined && type === 'b' ? 'false' : textOf(value);
    }
    return texts;
  }

  /** The requests for a call with these texts; LimitsExceeded when a detail is too long. */
  about(texts: TextArguments): readonly AuthorizationRequest[] {
    return chosenOf(this.#authorize, this.checks, texts)
      .filter(({ when }) => when === undefined || when(texts))
      .map(({ action, details }) => ({
        action: typeof action === 'string' ? action : action.choose(texts),
        details: detailsOf(details, texts),
      }));
  }
}

interface ShownValues {
  readonly [name: string]: unknown;
  readonly options: Readonly<Record<string, unknown>>;
}

/** The checks that apply to a call: all of the method, or the one that the call chooses. */
function chosenOf(
  authorize: MethodAuthorization,
  all: readonly PolkitCheck[],
  texts: TextArguments,
): readonly PolkitCheck[] {
  if (authorize === 'public' || !('among' in authorize)) return all;
  const { among, choose } = authorize;
  const chosen = choose(texts);
  const check = Object.hasOwn(among, chosen) ? among[chosen] : undefined;
  if (check === undefined) throw new TypeError(`${chosen} is not one of the checks`);
  return [check];
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

/** Percent-encodes `%` and all bytes but printable ASCII: readable in rules, and unambiguous. */
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
