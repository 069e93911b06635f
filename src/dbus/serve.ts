import { ServiceError } from '../errors.ts';
import type { Bus } from './bus.ts';
import { type CallContext, IncomingCall } from './call.ts';
import type { Caller, Callers } from './caller.ts';
import type { Handlers, Properties, Resolvers, ServiceDefinition } from './definition.ts';
import { CallCounter, type CallLimits, defaultCallLimits } from './limits.ts';
import { type LogControl, logControlObject } from './log-control.ts';
import type { IncomingMessage } from './message.ts';
import { type CallArguments, Method, type NameChecks, type Question } from './method.ts';
import type { ServedObject } from './object-tree.ts';
import { Published } from './published.ts';
import { reply, replyError } from './replies.ts';
import {
  checkWritable,
  type StandardCall,
  type StandardReply,
  setProperty,
  standardMethods,
  unknownObject,
} from './standard.ts';

export type { CallContext } from './call.ts';
export type { NameChecks, Question } from './method.ts';

/** Decides about calls. Answers at once, with undefined, when it need not ask; throws or rejects to refuse. */
export interface Authorizer {
  authorize(question: Question, call: CallContext): Promise<void> | undefined;
}

/** Is told what happens, for the journal. None of these may throw. */
export interface ServeObserver {
  decided(call: CallContext, question: Question, error: unknown): void;
  /** A call was answered with an error; whatever is not a ServiceError went out as `internal error`. */
  failed(call: CallContext | undefined, message: string, error: unknown): void;
}

/** What a service is served with. `Describe` is answered here. */
export interface ServeOptions<S extends ServiceDefinition> {
  readonly handlers: Omit<Handlers<S['manager'], CallContext>, 'Describe'>;
  readonly resolvers: Resolvers<S['manager'], CallContext>;
  readonly properties: Properties<S['manager']>;
  readonly authorizer: Authorizer;
  readonly callers: Callers;
  readonly names: NameChecks;
  readonly logControl: LogControl;
  readonly observer: ServeObserver;
  /** More for `Describe`. */
  readonly describeMore?: () => Readonly<Record<string, unknown>>;
  /** Whose `request_id` is taken over; that of others is replaced. */
  readonly trustsRequestId?: (caller: Caller) => boolean;
  readonly limits?: CallLimits;
}

type Handler = (args: unknown, call: CallContext) => unknown;
type Table = ReadonlyMap<string, Handler>;

/** More than any method takes; what is larger is refused before it is taken apart. */
const maxCallBytes = 4 << 20;
const propertiesInterface = 'org.freedesktop.DBus.Properties';

/** Serves a service on a bus; it owns no name yet, and announces nothing before `goLive`. */
export function serve<S extends ServiceDefinition>(
  bus: Bus,
  service: S,
  options: ServeOptions<S>,
): Server<S> {
  return new Server(bus, service, options);
}

/** A service on the bus: its objects, and the dispatch of calls to them. */
export class Server<S extends ServiceDefinition> extends Published<S> {
  readonly #bus: Bus;
  readonly #options: ServeOptions<S>;
  readonly #counter: CallCounter;
  readonly #handlers: Table;
  readonly #resolvers: Table;
  readonly #calls = new Map<string, Set<IncomingCall>>();
  #identifying = 0;
  #onActivity: () => void = () => undefined;

  constructor(bus: Bus, service: S, options: ServeOptions<S>) {
    super(bus, service, options.properties, methodsOf(service));
    this.#bus = bus;
    this.#options = options;
    this.#counter = new CallCounter(options.limits ?? defaultCallLimits);
    const describe = (): unknown => ({
      json: JSON.stringify(this.describe(options.describeMore?.())),
    });
    // the tables type handlers one by one; the dispatcher calls them by name
    this.#handlers = tableOf({ ...options.handlers, Describe: describe });
    this.#resolvers = tableOf(options.resolvers);
    this.tree.add(logControlObject(options.logControl));
    options.callers.onVanish((sender) => this.#abandonCallsOf(sender));
    bus.serveCalls((message) => this.#receive(message));
  }

  /** Calls under way. */
  get callsUnderWay(): number {
    return this.#counter.calls + this.#identifying;
  }

  /** Is told whenever a call begins or ends: what idle exit counts by. */
  onActivity(listener: () => void): void {
    this.#onActivity = listener;
  }

  /** Aborts the signal of every call under way; they are still answered. */
  abandonCalls(): void {
    for (const sender of this.#calls.keys()) this.#abandonCallsOf(sender);
  }

  #receive(message: IncomingMessage): void {
    this.#onActivity();
    try {
      this.#route(message);
    } catch (error) {
      this.#refuse(message, undefined, error);
    }
  }

  #route(message: IncomingMessage): void {
    const { path = '/', member = '' } = message;
    const object = this.tree.get(path);
    const interfaceName = message.interface ?? this.#interfaceOf(object, member);
    const standard = standardMethods.get(interfaceName);
    if (standard !== undefined) {
      this.#answerStandard(interfaceName, { message, tree: this.tree, path, object });
      return;
    }
    if (object === undefined) throw unknownObject(path);
    const served = object.interfaces.get(interfaceName);
    if (served === undefined) {
      throw new ServiceError('UnknownInterface', `${path} has no interface ${interfaceName}`);
    }
    const method = served.methods.get(member);
    if (method === undefined) throw unknownMethod(interfaceName, member);
    checkBody(message, method.signature);
    this.#admit(message, method, method.parse(message.body, this.#options.names));
  }

  /** A call without an interface header goes to the one interface that has the member. */
  #interfaceOf(object: ServedObject | undefined, member: string): string {
    const own = [...(object?.interfaces ?? [])].filter(([, { methods }]) => methods.has(member));
    const standard = [...standardMethods].filter(
      ([name, methods]) =>
        methods.has(member) || (name === propertiesInterface && member === 'Set'),
    );
    const names = [...own, ...standard].map(([name]) => name);
    const [only] = names;
    if (only === undefined) throw unknownMethod('', member);
    if (names.length > 1) {
      throw new ServiceError('UnknownMethod', `${member} is in ${names.join(' and ')}: name one`);
    }
    return only;
  }

  #answerStandard(interfaceName: string, call: StandardCall): void {
    const { message, object, path, tree } = call;
    const { member = '' } = message;
    if (interfaceName === propertiesInterface && member === 'Set') {
      checkBody(message, 'ssv');
      if (object === undefined) throw unknownObject(path);
      checkWritable(object, message.body);
      this.#answerWrite(call);
      return;
    }
    const method = standardMethods.get(interfaceName)?.get(member);
    if (method === undefined) throw unknownMethod(interfaceName, member);
    const there =
      object !== undefined ||
      method.where === 'anywhere' ||
      (method.where === 'node' && tree.hasNode(path));
    if (!there) throw unknownObject(path);
    checkBody(message, method.signature);
    this.#reply(message, method.answer(call));
  }

  #answerWrite(call: StandardCall): void {
    const { message } = call;
    void this.#identify(message, ({ uid }) => {
      if (uid !== 0 && uid !== process.getuid?.()) {
        throw new ServiceError('AccessDenied', 'only root and the service may set this property');
      }
      this.#reply(message, setProperty(call));
    });
  }

  #admit(message: IncomingMessage, method: Method, args: CallArguments): void {
    const known = this.#options.callers.known(message.sender ?? '');
    if (known !== undefined) this.#begin(message, method, args, known);
    else {
      void this.#identify(message, (caller) => this.#begin(message, method, args, caller));
    }
  }

  /** Goes on when the caller's credentials are known; the call counts as under way meanwhile. */
  async #identify(message: IncomingMessage, proceed: (caller: Caller) => void): Promise<void> {
    this.#identifying++;
    try {
      proceed(await this.#options.callers.get(message.sender ?? ''));
    } catch (error) {
      this.#refuse(message, undefined, error);
    } finally {
      this.#identifying--;
      this.#onActivity();
    }
  }

  #begin(message: IncomingMessage, method: Method, args: CallArguments, caller: Caller): void {
    const trusted = caller.uid === 0 || this.#options.trustsRequestId?.(caller) === true;
    const call = new IncomingCall(message, caller, trusted ? args.requestId : undefined);
    try {
      this.#counter.enter(caller.uid, message.sizeBytes);
    } catch (error) {
      this.#refuse(message, call, error);
      return;
    }
    this.#track(call);
    try {
      const decision = this.#authorize(method, args, call);
      const outcome =
        decision === undefined
          ? this.#perform(method, args, call)
          : decision.then(() => this.#perform(method, args, call));
      if (outcome instanceof Promise)
        void outcome.catch((error: unknown) => this.#fail(call, error));
    } catch (error) {
      this.#fail(call, error);
    }
  }

  /** Undefined when every question was answered with yes at once. */
  #authorize(method: Method, args: CallArguments, call: IncomingCall): Promise<void> | undefined {
    if (method.questions.length === 0) return undefined;
    if (method.resolves) return this.#resolveAndAsk(method, args, call);
    return this.#ask(method.ask(method.texts(args)), call);
  }

  async #resolveAndAsk(method: Method, args: CallArguments, call: IncomingCall): Promise<void> {
    const resolved: unknown = await this.#resolvers.get(method.name)?.(args.values, call);
    const texts = Object.assign(method.texts(args), resolved);
    await this.#ask(method.ask(texts), call);
  }

  #ask(questions: readonly Question[], call: IncomingCall): Promise<void> | undefined {
    for (const [at, question] of questions.entries()) {
      const answer = this.#askOne(question, call);
      if (answer === undefined) continue;
      const rest = questions.slice(at + 1);
      return answer.then(() => this.#ask(rest, call));
    }
    return undefined;
  }

  #askOne(question: Question, call: IncomingCall): Promise<void> | undefined {
    const { authorizer, observer } = this.#options;
    const refused = (error: unknown): never => {
      observer.decided(call, question, error);
      throw error;
    };
    try {
      const answer = authorizer.authorize(question, call);
      if (answer === undefined) {
        observer.decided(call, question, undefined);
        return undefined;
      }
      return answer.then(() => observer.decided(call, question, undefined), refused);
    } catch (error) {
      return refused(error);
    }
  }

  #perform(method: Method, args: CallArguments, call: IncomingCall): Promise<void> | undefined {
    const handler = this.#handlers.get(method.name);
    if (handler === undefined) throw unknownMethod('', method.name);
    const result = handler(args.values, call);
    if (result instanceof Promise) {
      return result.then((value: unknown) => this.#succeed(method, call, value));
    }
    this.#succeed(method, call, result);
    return undefined;
  }

  #succeed(method: Method, call: IncomingCall, result: unknown): void {
    this.#reply(call.message, { signature: method.outSignature, body: method.encode(result) });
    this.#finish(call);
  }

  #fail(call: IncomingCall, error: unknown): void {
    this.#refuse(call.message, call, error);
    this.#finish(call);
  }

  #track(call: IncomingCall): void {
    const { sender } = call.caller;
    const calls = this.#calls.get(sender);
    if (calls === undefined) this.#calls.set(sender, new Set([call]));
    else calls.add(call);
  }

  #finish(call: IncomingCall): void {
    const { sender, uid } = call.caller;
    const calls = this.#calls.get(sender);
    if (calls?.delete(call) !== true) return;
    if (calls.size === 0) this.#calls.delete(sender);
    this.#counter.leave(uid, call.message.sizeBytes);
    this.#onActivity();
  }

  #abandonCallsOf(sender: string): void {
    for (const call of this.#calls.get(sender) ?? []) call.abandon();
  }

  #reply(message: IncomingMessage, answer: StandardReply): void {
    reply(this.#bus, message, answer);
  }

  #refuse(message: IncomingMessage, call: CallContext | undefined, error: unknown): void {
    const name = `${message.interface ?? ''}.${message.member ?? ''}`;
    this.#options.observer.failed(call, name, error);
    replyError(this.#bus, message, error);
  }
}

function tableOf(functions: Readonly<Record<string, unknown>>): Table {
  const table = new Map<string, Handler>();
  for (const [name, value] of Object.entries(functions)) {
    if (typeof value === 'function') table.set(name, value as Handler); // typed by the tables
  }
  return table;
}

function methodsOf(service: ServiceDefinition): ReadonlyMap<string, Method> {
  return new Map(
    Object.entries(service.manager.methods ?? {}).map(([name, definition]) => [
      name,
      new Method(name, definition),
    ]),
  );
}

function unknownMethod(interfaceName: string, member: string): ServiceError {
  const where = interfaceName === '' ? '' : ` in ${interfaceName}`;
  return new ServiceError('UnknownMethod', `no method ${member}${where}`);
}

/** Refuses what the method does not take, before anything of the body is read if it can. */
function checkBody(message: IncomingMessage, wanted: string): void {
  const { signature, sizeBytes, member = '' } = message;
  if (signature !== wanted) {
    throw new ServiceError('InvalidArgs', `${member} takes (${wanted}), not (${signature})`);
  }
  if (sizeBytes > maxCallBytes) {
    throw new ServiceError(
      'LimitsExceeded',
      `a call of ${sizeBytes} bytes, the limit is ${maxCallBytes}`,
    );
  }
  if (message.bodyError !== undefined) {
    throw new ServiceError('InvalidArgs', `${member}: ${message.bodyError.message}`);
  }
}
