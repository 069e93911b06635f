import type { Handlers, NameParsers, Resolvers, ServiceDefinition } from '../definition.ts';
import { AuthorizationGate, type Authorizer, type DecisionListener } from './authorization-gate.ts';
import type { CallContext } from './call.ts';

/** What calls are served with, as far as it follows from a configuration. */
export interface ServingOptions<
  S extends ServiceDefinition,
  Names extends NameParsers = NameParsers,
> {
  readonly handlers: Omit<Handlers<S['manager'], CallContext, Names>, 'Describe'>;
  readonly resolvers: Resolvers<S['manager'], CallContext, Names>;
  readonly authorizer: Authorizer;
  /** More for `Describe`. */
  readonly describeMore?: () => Readonly<Record<string, unknown>>;
}

/** The same for any service: the tables type handlers one by one, the dispatcher calls them by name. */
interface ErasedOptions
  extends Pick<ServingOptions<ServiceDefinition>, 'authorizer' | 'describeMore'> {
  readonly handlers: Readonly<Record<string, unknown>>;
  readonly resolvers: Readonly<Record<string, unknown>>;
}

type Handler = (args: unknown, call: CallContext) => unknown;
type Table = ReadonlyMap<string, Handler>;

/** What calls are served with from their beginning to their end: a reload replaces it for those that follow. */
export class Serving {
  readonly handlers: Table;
  readonly resolvers: Table;
  readonly gate: AuthorizationGate;
  #calls = 0;
  #whenEnded: (() => void) | undefined;

  constructor(
    { handlers, resolvers, authorizer, describeMore }: ErasedOptions,
    server: {
      readonly decided: DecisionListener;
      readonly describe: (more: Readonly<Record<string, unknown>> | undefined) => unknown;
    },
  ) {
    const describe = (): unknown => server.describe(describeMore?.());
    this.handlers = tableOf({ ...handlers, Describe: describe });
    this.resolvers = tableOf(resolvers);
    this.gate = new AuthorizationGate(authorizer, server.decided);
  }

  /** Counts a call in until `leave`. */
  enter(): void {
    this.#calls++;
  }

  /** Ends what `enter` began. */
  leave(): void {
    this.#calls--;
    if (this.#calls === 0) this.#whenEnded?.();
  }

  /** Resolves when no call is under way; for one that was replaced, so none begins any more. */
  ended(): Promise<void> {
    if (this.#calls === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenEnded = resolve;
    });
  }
}

function tableOf(functions: Readonly<Record<string, unknown>>): Table {
  const table = new Map<string, Handler>();
  for (const [name, value] of Object.entries(functions)) {
    if (typeof value === 'function') table.set(name, value as Handler); // typed by the tables
  }
  return table;
}
