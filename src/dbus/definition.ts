/**
 * The tables that define interfaces. Types of handlers and clients, introspection, D-Bus policy, polkit actions and
 * the API reference are all derived from them.
 */
import type { ErrorCode } from '../errors.ts';

/** A variant as on the wire: the signature of one complete type and its value. */
export interface VariantValue {
  readonly signature: string;
  readonly value: unknown;
}

interface BasicTypes {
  y: number;
  b: boolean;
  n: number;
  q: number;
  i: number;
  u: number;
  x: bigint;
  t: bigint;
  d: number;
  s: string;
  o: string;
  g: string;
  v: VariantValue;
}

type ParseOne<S extends string> = S extends `ay${infer Rest}`
  ? [Buffer, Rest]
  : S extends `a{s${infer Value}`
    ? ParseOne<Value> extends [infer V, `}${infer Rest}`]
      ? [Readonly<Record<string, V>>, Rest]
      : never
    : S extends `a${infer Element}`
      ? ParseOne<Element> extends [infer V, infer Rest extends string]
        ? [readonly V[], Rest]
        : never
      : S extends `(${infer Members}`
        ? ParseStruct<Members, []>
        : S extends `${infer Code extends keyof BasicTypes}${infer Rest}`
          ? [BasicTypes[Code], Rest]
          : never;

type ParseStruct<S extends string, Members extends readonly unknown[]> = S extends `)${infer Rest}`
  ? [Members, Rest]
  : ParseOne<S> extends [infer V, infer Rest extends string]
    ? ParseStruct<Rest, readonly [...Members, V]>
    : never;

/** The TypeScript type of a value of one complete D-Bus type: `ay` is a Buffer, `x` and `t` are bigint. */
export type ValueOf<S extends string> = ParseOne<S> extends [infer V, ''] ? V : never;

/** Names and signatures, in wire order. */
export type Fields = Readonly<Record<string, string>>;

/** The values of `Fields`, all present. */
export type Values<F extends Fields> = { readonly [K in keyof F]: ValueOf<F[K]> };

/** The values of `Fields`, each of which may be absent. */
export type OptionalValues<F extends Fields> = {
  readonly [K in keyof F]?: ValueOf<F[K]> | undefined;
};

/**
 * Every argument and option as the text in authorization details: a string unchanged, a boolean as `true` or `false`,
 * an array of strings joined by commas, bytes with everything but printable ASCII percent-encoded. An absent option is
 * `` (a boolean: `false`). Bytes are present only when a detail names them.
 */
export type TextArguments = Readonly<Record<string, string>>;

/** Where a detail comes from: an argument, option or resolved text by name, or a function of all of them. */
export type DetailSource = string | ((text: TextArguments) => string);

/** An authorization check that precedes the handler. */
export interface PolkitCheck {
  readonly action:
    | string
    | { readonly oneOf: readonly string[]; readonly choose: (text: TextArguments) => string };
  /** All details of the action; a list is short for details named like their arguments. */
  readonly details: readonly string[] | Readonly<Record<string, DetailSource>>;
  /** The check applies only to calls for which this is true. */
  readonly when?: (text: TextArguments) => boolean;
}

/** One of a closed set of checks, by name; a call for which `choose` returns another name is rejected. */
export interface PolkitChoice {
  readonly among: Readonly<Record<string, PolkitCheck>>;
  readonly choose: (text: TextArguments) => string;
}

/** `public`, or every check that must pass, or the one of them that applies. */
export type MethodAuthorization = 'public' | PolkitCheck | PolkitChoice | readonly PolkitCheck[];

/** The kinds of names that arguments and options can be. */
export type NameKind = 'key-id' | 'certificate-id' | 'module-id' | 'module-name';

/** The parsers of each kind of name; they throw InvalidArgs. Handlers receive the names that they return. */
export type NameParsers = Readonly<Record<NameKind, (text: string) => string>>;

/**
 * A check of an argument or option that precedes authorization: a kind of name, a maximum size, or an enumeration (of
 * each element of an array).
 */
export type Check =
  | NameKind
  | { readonly maxBytes: number }
  | { readonly maxValue: number }
  | { readonly oneOf: readonly string[] };

/** One method. The argument `options a{sv}` is appended to `in` of every method. */
export interface MethodDefinition {
  readonly doc: string;
  readonly in?: Fields;
  /** The keys that `options` may have; any other is InvalidArgs. */
  readonly options?: Fields;
  readonly out?: Fields;
  /** The keys of an `a{sv}` or `aa{sv}` result, by the name of that result. */
  readonly records?: Readonly<Record<string, Fields>>;
  readonly check?: Readonly<Record<string, Check>>;
  /** The possible values of a text of `records`, by its name there. */
  readonly values?: Readonly<Record<string, readonly string[]>>;
  /** The bytes of the result are wiped after sending: each must be a buffer that is not used elsewhere. */
  readonly secret?: true;
  /** Arguments of type `ay` whose bytes are wiped when the call has ended, also with a failure. */
  readonly secretArguments?: readonly string[];
  /** The method has no effect: a call that expects no reply is not executed. */
  readonly reads?: true;
  /** A long operation: it waits, it has the option `wait`, and its handler persists it as a pending operation. */
  readonly long?: true;
  /** The handler mostly waits, for an operation or another service: the call occupies no slot while it does. */
  readonly waits?: true;
  /** Texts of details that only the service can resolve; they replace arguments of the same name. */
  readonly resolve?: readonly string[];
  readonly authorize: MethodAuthorization;
  /**
   * The failures of the handler and the resolver, and when they occur. InvalidArgs, LimitsExceeded, Cancelled and
   * Failed are declared for every method, AccessDenied for every one that is not public.
   */
  readonly errors?: Readonly<Partial<Record<ErrorCode, string>>>;
}

/** One property. Reading is public; `write: 'owner'` lets uid 0 and the service's own uid set it. */
export interface PropertyDefinition {
  readonly doc: string;
  readonly type: string;
  /** The keys of an `a{sv}` property. */
  readonly record?: Fields;
  /** The possible values of a text, or of each of an array of texts. */
  readonly values?: readonly string[];
  /** EmitsChangedSignal of the D-Bus specification. */
  readonly emits: 'true' | 'invalidates' | 'const' | 'false';
  readonly write?: 'owner';
}

/** One signal. */
export interface SignalDefinition {
  readonly doc: string;
  readonly args?: Fields;
}

/** One D-Bus interface. */
export interface InterfaceDefinition {
  readonly name: string;
  readonly doc: string;
  readonly methods?: Readonly<Record<string, MethodDefinition>>;
  readonly properties?: Readonly<Record<string, PropertyDefinition>>;
  readonly signals?: Readonly<Record<string, SignalDefinition>>;
  /** Documentation of arguments, options and keys of results, by name or, for one method only, by `Method.name`. */
  readonly notes?: Readonly<Record<string, string>>;
}

/** The texts and the defaults of a polkit action; `active` is for a user at the console. */
export interface ActionDefinition {
  readonly description: string;
  readonly message: string;
  readonly defaults?: {
    readonly any: 'no' | 'yes';
    readonly inactive: 'no' | 'yes';
    readonly active: 'auth_admin' | 'yes';
  };
}

/** One service: its name, its user, the manager object, the objects below it and its polkit actions. */
export interface ServiceDefinition {
  /** Short name: `keys` in `iotedge-keys`, `keys.yaml` and `src/keys`. */
  readonly name: string;
  readonly doc: string;
  readonly busName: string;
  readonly path: string;
  readonly user: string;
  readonly manager: InterfaceDefinition;
  /** Child objects live at `<path>/<segment>/<escaped id>`. */
  readonly child: { readonly segment: string; readonly interface: InterfaceDefinition };
  readonly actions: Readonly<Record<string, ActionDefinition>>;
}

/** Defines an interface; the result has the literal types that handlers and clients are computed from. */
export function defineInterface<const D extends InterfaceDefinition>(definition: D): D {
  return definition;
}

/** Defines a service, with literal types. */
export function defineService<const S extends ServiceDefinition>(definition: S): S {
  return definition;
}

/** Every check that may apply to a call of a method. */
export function polkitChecksOf(authorize: MethodAuthorization): readonly PolkitCheck[] {
  if (authorize === 'public') return [];
  if ('among' in authorize) return Object.values(authorize.among);
  return 'action' in authorize ? [authorize] : authorize;
}

type FieldsOf<T> = T extends Fields ? T : Record<never, string>;
type MethodsOf<D extends InterfaceDefinition> = NonNullable<D['methods']>;
type Simplify<T> = { [K in keyof T]: T[K] };

type ResultOf<M extends MethodDefinition, K> = K extends keyof FieldsOf<M['out']>
  ? M['records'] extends Readonly<Record<K & string, infer Shape extends Fields>>
    ? FieldsOf<M['out']>[K] extends `aa${string}`
      ? readonly RecordOf<M, Shape>[]
      : RecordOf<M, Shape>
    : ValueOf<FieldsOf<M['out']>[K] & string>
  : never;

type RecordOf<M extends MethodDefinition, F extends Fields> = {
  readonly [K in keyof F]: K extends keyof M['values'] ? WordOf<M['values'][K]> : ValueOf<F[K]>;
};

type WordOf<T> = T extends readonly (infer Word extends string)[] ? Word : never;

/** The arguments that a handler receives: names as their parsers return them. */
export type Input<M extends MethodDefinition, Names extends NameParsers = NameParsers> = Simplify<
  {
    readonly [K in keyof FieldsOf<M['in']>]: Given<
      M,
      K,
      ValueOf<FieldsOf<M['in']>[K] & string>,
      Names
    >;
  } & {
    readonly options: {
      readonly [K in keyof FieldsOf<M['options']>]?:
        | Given<M, K, ValueOf<FieldsOf<M['options']>[K] & string>, Names>
        | undefined;
    };
  }
>;

type Given<
  M extends MethodDefinition,
  K,
  Value,
  Names extends NameParsers,
> = K extends keyof M['check']
  ? M['check'][K] extends infer Kind extends NameKind
    ? ReturnType<Names[Kind]>
    : Value
  : Value;

/** The arguments that a caller passes. */
export type Arguments<M extends MethodDefinition> = Simplify<
  Values<FieldsOf<M['in']>> & { readonly options?: OptionalValues<FieldsOf<M['options']>> }
>;

/** The results of a method, by name. */
export type Output<M extends MethodDefinition> = {
  readonly [K in keyof FieldsOf<M['out']>]: ResultOf<M, K>;
};

/** The handler of a long operation, with the functions that persist it across restarts of the process. */
export type LongHandler<Handler> = Handler & {
  readonly persistence: {
    readonly persist: (...args: never) => Promise<void>;
    readonly remove: (...args: never) => Promise<void>;
  };
};

/** One function per method of an interface; `Context` is the context of the call. */
export type Handlers<
  D extends InterfaceDefinition,
  Context,
  Names extends NameParsers = NameParsers,
> = {
  readonly [K in keyof MethodsOf<D>]: MethodsOf<D>[K] extends { readonly long: true }
    ? LongHandler<Handler<MethodsOf<D>[K], Context, Names>>
    : Handler<MethodsOf<D>[K], Context, Names>;
};

type Handler<M extends MethodDefinition, Context, Names extends NameParsers> = (
  args: Input<M, Names>,
  call: Context,
) => Output<M> | Promise<Output<M>>;

type Resolving<D extends InterfaceDefinition> = {
  [K in keyof MethodsOf<D>]: MethodsOf<D>[K] extends { readonly resolve: readonly string[] }
    ? K
    : never;
}[keyof MethodsOf<D>];

/** For each method with `resolve`: the function that returns those texts. */
export type Resolvers<
  D extends InterfaceDefinition,
  Context,
  Names extends NameParsers = NameParsers,
> = {
  readonly [K in Resolving<D>]: (
    args: Input<MethodsOf<D>[K], Names>,
    call: Context,
  ) => ResolvedTexts<MethodsOf<D>[K]> | Promise<ResolvedTexts<MethodsOf<D>[K]>>;
};

type ResolvedTexts<M extends MethodDefinition> = M extends {
  readonly resolve: readonly (infer Name extends string)[];
}
  ? { readonly [K in Name]: string }
  : never;

/** The values of all properties of an interface. */
export type Properties<D extends InterfaceDefinition> = {
  readonly [K in keyof NonNullable<D['properties']>]: PropertyValue<
    NonNullable<D['properties']>[K]
  >;
};

type PropertyValue<P extends PropertyDefinition> = P extends {
  readonly record: infer Shape extends Fields;
}
  ? Values<Shape>
  : P extends { readonly values: readonly (infer Word extends string)[] }
    ? P['type'] extends 'as'
      ? readonly Word[]
      : Word
    : ValueOf<P['type']>;

/** The arguments of a signal, by name. */
export type SignalArguments<
  D extends InterfaceDefinition,
  K extends keyof NonNullable<D['signals']>,
> = Values<FieldsOf<NonNullable<D['signals']>[K]['args']>>;
