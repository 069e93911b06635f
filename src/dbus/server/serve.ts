import { ServiceError } from '../../errors.ts';
import type { Bus } from '../bus.ts';
import type { NameParsers, ServiceDefinition } from '../definition.ts';
import type { IncomingMessage } from '../wire/inbox.ts';
import type { MessageHeader } from '../wire/message.ts';
import { AuthorizationGate, type DecisionListener } from './authorization-gate.ts';
import {
  type CallContext,
  type IncomingCall,
  nameOf,
  type Reply,
  reply,
  replyError,
} from './call.ts';
import { Admission } from './limits/admission.ts';
import { defaultCallLimits } from './limits/call-limits.ts';
import { logControlObject } from './log-control.ts';
import type { CallArguments, Method } from './method.ts';
import type { ObjectManager } from './object-manager.ts';
import { routeOf, type StandardRoute } from './route.ts';
import type { AnyServingOptions, ServeOptions, ServingOptions } from './serve-options.ts';
import { standardBodyBytes, standardMethods } from './standard.ts';

type CommonOptions = Pick<
  ServeOptions<ServiceDefinition>,
  'names' | 'observer' | 'trustedUids' | 'describeProcess'
>;

/** A call with its method, its arguments and the handlers that serve it. */
interface ServedCall {
  readonly method: Method;
  readonly args: CallArguments;
  readonly call: IncomingCall;
  readonly serving: Serving;
}

/** Serves the complete objects of a service on a bus; it does not acquire the name. */
export function serve<S extends ServiceDefinition, Names extends NameParsers>(
  bus: Bus,
  objects: ObjectManager<S>,
  options: ServeOptions<S, Names>,
): Server<S, Names> {
  return new Server(bus, objects, options);
}

/** A service on the bus: the dispatch of calls to its objects. */
export class Server<S extends ServiceDefinition, Names extends NameParsers = NameParsers> {
  readonly #bus: Bus;
  readonly #objects: ObjectManager<S>;
  readonly #options: CommonOptions;
  readonly #admission: Admission;
  #serving: Serving;
  /** The largest reply of each method so far, which its next callers may expect, too; only methods that exist reply. */
  readonly #maxReplies = new Map<string, number>();

  constructor(bus: Bus, objects: ObjectManager<S>, options: ServeOptions<S, Names>) {
    objects.assertComplete();
    const { callers, limits = defaultCallLimits } = options;
    this.#bus = bus;
    this.#objects = objects;
    this.#options = options;
    this.#admission = new Admission(callers, limits, {
      admitted: (call) => this.#dispatch(call),
      refused: (message, call, error) => this.#refuse(message, call, error),
      lost: (message, caller) => options.observer.onLostCall?.(nameOf(message), caller),
      expectedReplyBytes: (call) => this.#maxReplyTo(call),
      isTrusted: (uid) => this.#isTrusted(uid),
    });
    this.#serving = this.#servingWith(options);
    objects.tree.add(logControlObject(options.logControl));
    bus.serveCalls({
      maxBodyBytes: (header) => this.#maxBodyBytes(header),
      receive: (message) => this.#admission.admit(message),
    });
  }

  /** The number of calls that have not ended. */
  get pendingCalls(): number {
    return this.#admission.pending;
  }

  /** When the last call arrived or ended, by `performance.now()`; idle exit counts from then. */
  get lastActivityAt(): number {
    return this.#admission.lastActivityAt;
  }

  /** Aborts the signal of every pending call; their callers still get a reply. */
  abandonCalls(): void {
    this.#admission.abandonCalls();
  }

  /** Replaces the handlers for later calls; resolves when the calls that still use the previous ones have ended. */
  replace(options: ServingOptions<S, Names>): Promise<void> {
    const before = this.#serving;
    this.#serving = this.#servingWith(options);
    return before.ended();
  }

  #servingWith(options: ServingOptions<S, Names>): Serving {
    const { observer } = this.#options;
    return new Serving(options, {
      decided: (...decided) => observer.onDecision(...decided),
      describe: (more, { caller }) => ({
        json: this.#objects.describe({ ...this.#options.describeProcess?.(caller), ...more }),
      }),
    });
  }

  #dispatch(call: IncomingCall): void {
    try {
      const served = this.#serve(call);
      if (served) void served.catch((error: unknown) => this.#fail(call, error));
    } catch (error) {
      this.#fail(call, error);
    }
  }

  #maxReplyTo(call: IncomingCall): number {
    return this.#maxReplies.get(call.name) ?? 0;
  }

  #maxBodyBytes(header: MessageHeader): number {
    return maxBodyBytesOf(header, this.#objects.methods);
  }

  /** Undefined when the reply was sent at once; throws or rejects when the call failed. */
  #serve(call: IncomingCall): Promise<void> | undefined {
    const method = this.#methodFor(call.message);
    if (method !== undefined) return this.#serveOwn(call, method);
    const route = routeOf(call.message, this.#objects.tree);
    if (route.kind === 'own') return this.#serveOwn(call, route.method);
    this.#serveStandard(call, route);
    return undefined;
  }

  /** The method of the manager that a call matches exactly, as most do; routeOf finds the target of all others. */
  #methodFor(message: IncomingMessage): Method | undefined {
    const { path, interface: name, member = '', signature } = message.header;
    const { service, methods } = this.#objects;
    const isOwn = path === service.path && name === service.manager.name;
    const method = isOwn ? methods.get(member) : undefined;
    return method?.signature === signature && !message.isSkipped ? method : undefined;
  }

  #serveStandard(call: IncomingCall, { method, object }: StandardRoute): void {
    const { message, caller } = call;
    const { tree } = this.#objects;
    // a read without a reply has no effect
    const isDue = message.wantsReply || method.hasEffect;
    this.#succeed(call, isDue ? method.handle({ message, caller, tree, object }) : noReply);
  }

  #serveOwn(call: IncomingCall, method: Method): Promise<void> | undefined {
    const args = method.parse(call.message, this.#options.names);
    call.message.release();
    if (this.#isTrusted(call.caller.uid)) call.serveRequest(args.requestId);
    this.#options.observer.onCall?.(call);
    return this.#serveWith(method, args, call);
  }

  /** Serves a call, and wipes its secret arguments when it has ended, also with a failure. */
  #serveWith(method: Method, args: CallArguments, call: IncomingCall): Promise<void> | undefined {
    const serving = this.#serving;
    serving.enter();
    const end = (): void => {
      method.wipeArguments(args);
      serving.leave();
    };
    try {
      const served = this.#decideAndPerform({ method, args, call, serving });
      if (served !== undefined) return served.finally(end);
    } catch (error) {
      end();
      throw error;
    }
    end();
    return undefined;
  }

  #decideAndPerform(served: ServedCall): Promise<void> | undefined {
    const decision = this.#authorize(served);
    if (decision === undefined) return this.#perform(served);
    return this.#performAfter(decision, served);
  }

  /** Parks the call until the authorizer has decided. */
  async #performAfter(decision: Promise<void>, served: ServedCall): Promise<void> {
    const { method, call } = served;
    try {
      this.#admission.park(call);
    } catch (error) {
      call.abandon();
      decision.catch(() => undefined); // the call has failed already, by the limit
      throw error;
    }
    await decision;
    if (!method.waits) await this.#admission.resume(call);
    await this.#perform(served);
  }

  #isTrusted(uid: number): boolean {
    return uid === 0 || this.#options.trustedUids?.has(uid) === true;
  }

  /** Undefined when every request was granted at once. */
  #authorize(served: ServedCall): Promise<void> | undefined {
    const { method, args, call, serving } = served;
    if (method.requests.checks.length === 0) return undefined;
    if (method.resolves) return this.#resolveAndAuthorize(served);
    return serving.gate.ask(method.requests.about(method.requests.texts(args.values)), call);
  }

  async #resolveAndAuthorize({ method, args, call, serving }: ServedCall): Promise<void> {
    const resolve = serving.resolvers.get(method.name);
    const resolved: unknown = await this.#watched(method, call, () => resolve?.(args.values, call));
    const texts = Object.assign(method.requests.texts(args.values), resolved);
    await serving.gate.ask(method.requests.about(texts), call);
  }

  #perform({ method, args, call, serving }: ServedCall): Promise<void> | undefined {
    if (method.reads && !call.message.wantsReply) {
      this.#succeed(call, noReply);
      return undefined;
    }
    const handler = serving.handlers.get(method.name);
    if (handler === undefined) throw new TypeError(`${method.name} has no handler`);
    if (method.waits) this.#admission.park(call);
    const result = this.#watched(method, call, () => handler(args.values, call));
    if (result instanceof Promise) {
      return result.then((value: unknown) => this.#replyWith(value, call, method));
    }
    this.#replyWith(result, call, method);
    return undefined;
  }

  /** Runs a handler or a resolver; reports a failure that the table does not declare for the method. */
  #watched(method: Method, call: IncomingCall, run: () => unknown): unknown {
    const check = (error: unknown): never => {
      if (error instanceof ServiceError && !method.declares(error.code)) {
        this.#options.observer.onUndeclared?.(call, error);
      }
      throw error;
    };
    try {
      const result = run();
      return result instanceof Promise ? result.catch(check) : result;
    } catch (error) {
      return check(error);
    }
  }

  #replyWith(result: unknown, call: IncomingCall, method: Method): void {
    try {
      this.#succeed(call, method.reply(result));
    } finally {
      method.wipe(result);
    }
  }

  #succeed(call: IncomingCall, result: Reply): void {
    const bytes = reply(this.#bus, call.message, result);
    if (bytes > this.#maxReplyTo(call)) this.#maxReplies.set(call.name, bytes);
    // a reply that was not sent counts as well: it cost the same
    this.#admission.finish(call, call.message.wantsReply ? bytes : this.#maxReplyTo(call));
  }

  #fail(call: IncomingCall, error: unknown): void {
    this.#admission.finish(call, this.#refuse(call.message, call, error));
  }

  #refuse(message: IncomingMessage, call: CallContext | undefined, error: unknown): number {
    this.#options.observer.onFailure(call, nameOf(message), error);
    return replyError(this.#bus, message, error);
  }
}

const noReply: Reply = { signature: '', body: [] };

/** The largest accepted body of a call, judged by its header. */
export function maxBodyBytesOf(
  { interface: interfaceName, member = '' }: MessageHeader,
  methods: ReadonlyMap<string, Method>,
): number {
  const isStandard = interfaceName !== undefined && standardMethods.has(interfaceName);
  const own = isStandard ? undefined : methods.get(member);
  return own?.maxBodyBytes ?? standardBodyBytes;
}

type Handler = (args: unknown, call: CallContext) => unknown;
type Table = ReadonlyMap<string, Handler>;

/** The handlers and the authorizer that serve a call from start to end; a reload replaces them for later calls. */
export class Serving {
  readonly handlers: Table;
  readonly resolvers: Table;
  readonly gate: AuthorizationGate;
  #calls = 0;
  #whenEnded: (() => void) | undefined;

  constructor(
    { handlers, resolvers, authorizer, describeMore }: AnyServingOptions,
    server: {
      readonly decided: DecisionListener;
      readonly describe: (
        more: Readonly<Record<string, unknown>> | undefined,
        call: CallContext,
      ) => unknown;
    },
  ) {
    const describe: Handler = (_args, call) => server.describe(describeMore?.(), call);
    this.handlers = tableOf({ ...handlers, Describe: describe });
    this.resolvers = tableOf(resolvers);
    this.gate = new AuthorizationGate(authorizer, server.decided);
  }

  /** Counts a call that begins. */
  enter(): void {
    this.#calls++;
  }

  /** Counts a call that ended. */
  leave(): void {
    this.#calls--;
    if (this.#calls === 0) this.#whenEnded?.();
  }

  /** Resolves when no call is pending; for a Serving that was replaced, which no further call enters. */
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
