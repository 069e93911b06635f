import type { Bus, BusSignal, CallOptions } from '../bus.ts';
import type {
  Arguments,
  Fields,
  InterfaceDefinition,
  MethodDefinition,
  Output,
} from '../definition.ts';
import { Variant, variant } from '../wire/variant.ts';
import type { Via } from './via.ts';

/** Options of one call. */
export interface ClientCallOptions extends CallOptions {
  /** The id of the request that this call serves, for the journal of the other service. */
  readonly requestId?: string | undefined;
  /** Whether polkit may ask the user for authorization. */
  readonly interactive?: boolean | undefined;
}

/** One function per method of an interface. */
export type Client<D extends InterfaceDefinition> = {
  readonly [K in keyof NonNullable<D['methods']>]: (
    args: Arguments<NonNullable<D['methods']>[K]>,
    options?: ClientCallOptions,
  ) => Promise<Output<NonNullable<D['methods']>[K]>>;
};

/** A client for services: `via` is mandatory, so that no call loses the id of the request that it serves. */
export type ServiceClient<D extends InterfaceDefinition> = {
  readonly [K in keyof NonNullable<D['methods']>]: (
    args: Arguments<NonNullable<D['methods']>[K]>,
    via: Via & CallOptions,
  ) => Promise<Output<NonNullable<D['methods']>[K]>>;
};

/** The address of an object. */
export interface Remote {
  readonly busName: string;
  readonly path: string;
}

/** Calls the methods of an object of another process; failures are ServiceErrors with the code of the callee. */
export function client<D extends InterfaceDefinition>(
  bus: Bus,
  remote: Remote,
  definition: D,
): Client<D> {
  const calls = Object.entries(definition.methods ?? {}).map(([member, method]) => [
    member,
    (args: Readonly<Record<string, unknown>>, options: ClientCallOptions = {}) =>
      callMethod(bus, remote, { definition, member, method, args, options }),
  ]);
  return Object.fromEntries(calls) as Client<D>; // built from the same table as the type
}

/** As `client`, for calls of a service on behalf of its callers. They are not interactive: no user is present. */
export function serviceClient<D extends InterfaceDefinition>(
  bus: Bus,
  remote: Remote,
  definition: D,
): ServiceClient<D> {
  const calls = Object.entries(definition.methods ?? {}).map(([member, method]) => [
    member,
    (args: Readonly<Record<string, unknown>>, via: Via & CallOptions) => {
      const { requestId, timeoutMs } = via;
      const options = { requestId, signal: via.cancellation ?? via.signal, timeoutMs };
      return callMethod(bus, remote, { definition, member, method, args, options });
    },
  ]);
  return Object.fromEntries(calls) as ServiceClient<D>; // built from the same table as the type
}

/** Listens for a signal of an object of another process, across changes of the owner of its name. */
export function onSignal(
  bus: Bus,
  remote: Remote,
  {
    definition,
    member,
    listener,
  }: {
    readonly definition: InterfaceDefinition;
    readonly member: string;
    readonly listener: (signal: BusSignal) => void;
  },
): Promise<AsyncDisposable> {
  const match = {
    sender: remote.busName,
    path: remote.path,
    interface: definition.name,
    member,
  };
  return bus.subscribe(match, listener);
}

interface ClientCall {
  readonly definition: InterfaceDefinition;
  readonly member: string;
  readonly method: MethodDefinition;
  readonly args: Readonly<Record<string, unknown>>;
  readonly options: ClientCallOptions;
}

async function callMethod(bus: Bus, remote: Remote, call: ClientCall): Promise<unknown> {
  const { definition, member, method, args, options } = call;
  const fields = method.in ?? {};
  const body = await bus.call(
    {
      destination: remote.busName,
      path: remote.path,
      interface: definition.name,
      member,
      signature: `${Object.values(fields).join('')}a{sv}`,
      body: [...Object.keys(fields).map((name) => args[name]), optionsOf(method, args, options)],
      interactive: options.interactive === true,
      replySignature: Object.values(method.out ?? {}).join(''),
    },
    options,
  );
  return decode(method, body);
}

function optionsOf(
  method: MethodDefinition,
  args: Readonly<Record<string, unknown>>,
  { requestId }: ClientCallOptions,
): Record<string, Variant> {
  const { options } = args;
  const given = typeof options === 'object' && options !== null ? Object.entries(options) : [];
  const encoded: Record<string, Variant> = {};
  for (const [name, value] of given) {
    const signature = method.options?.[name];
    if (signature === undefined) throw new TypeError(`no option ${name}`);
    if (value !== undefined) encoded[name] = variant(signature, value);
  }
  if (requestId !== undefined) encoded['request_id'] = variant('s', requestId);
  return encoded;
}

function decode(method: MethodDefinition, body: readonly unknown[]): Record<string, unknown> {
  return Object.fromEntries(
    Object.keys(method.out ?? {}).map((name, at) => {
      const record = method.records?.[name];
      const value = body[at];
      if (record === undefined) return [name, value];
      const plain = (item: unknown): unknown => recordOf(record, item);
      return [name, Array.isArray(value) ? value.map(plain) : plain(value)];
    }),
  );
}

/** The declared fields of an `a{sv}`, of their declared types; fields that a newer service adds are ignored. */
function recordOf(fields: Fields, dictionary: unknown): Record<string, unknown> {
  const entries = new Map(
    typeof dictionary === 'object' && dictionary !== null ? Object.entries(dictionary) : [],
  );
  return Object.fromEntries(
    Object.entries(fields).map(([name, signature]) => {
      const field: unknown = entries.get(name);
      if (!(field instanceof Variant) || field.signature !== signature) {
        throw new TypeError(`the reply has no field ${name} of type ${signature}`);
      }
      return [name, field.value];
    }),
  );
}
