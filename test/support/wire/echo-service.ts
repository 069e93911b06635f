import { randomBytes } from 'node:crypto';
import type { Bus } from '../../../src/dbus/bus.ts';
import { defineInterface, defineService } from '../../../src/dbus/definition.ts';
import { type AuthorizationRequest } from '../../../src/dbus/server/authorization-gate.ts';
import { type CallContext } from '../../../src/dbus/server/call.ts';
import { Callers } from '../../../src/dbus/server/caller.ts';
import type { CallLimits } from '../../../src/dbus/server/limits/call-limits.ts';
import type { LogControl } from '../../../src/dbus/server/log-control.ts';
import { ObjectManager } from '../../../src/dbus/server/object-manager.ts';
import { type Server, serve } from '../../../src/dbus/server/serve.ts';
import { type ServeObserver } from '../../../src/dbus/server/serve-options.ts';
import { ServiceError } from '../../../src/errors.ts';
import { nameParsers } from '../../../src/ids.ts';

/** A service with a method of every kind that the dispatcher supports. */
export const echoService = defineService({
  name: 'echo',
  doc: 'Echoes its arguments.',
  busName: 'org.iotedge.Echo1',
  path: '/org/iotedge/Echo1',
  user: 'root',
  actions: {},
  manager: defineInterface({
    name: 'org.iotedge.Echo1',
    doc: 'Echoes its arguments.',
    methods: {
      Echo: {
        doc: 'The same bytes.',
        in: { data: 'ay' },
        options: { reverse: 'b', note: 's' },
        out: { answer: 'ay' },
        check: { data: { maxBytes: 1 << 20 } },
        authorize: 'public',
      },
      Guarded: {
        doc: 'Asks first.',
        in: { key_id: 's' },
        options: { derivation: 'ay', exportable: 'b' },
        check: { key_id: 'key-id' },
        authorize: {
          action: 'org.iotedge.echo1.use',
          details: ['key_id', 'derivation', 'exportable'],
        },
      },
      Resolved: {
        doc: 'Asks with what the service knows.',
        in: { key_id: 's' },
        resolve: ['owner'],
        authorize: [
          { action: 'org.iotedge.echo1.use', details: { owner: 'owner' } },
          { action: 'org.iotedge.echo1.second', details: ['key_id'] },
        ],
      },
      Fail: {
        doc: 'Fails in a way.',
        in: { way: 's' },
        authorize: 'public',
        errors: { NotFound: 'on request' },
      },
      Hang: { doc: 'Ends when the caller leaves.', authorize: 'public' },
      GuardedHang: {
        doc: 'Asks first, then ends when the caller leaves.',
        authorize: { action: 'org.iotedge.echo1.use', details: {} },
      },
      Wait: { doc: 'The same, as an operation does.', waits: true, authorize: 'public' },
      Secret: { doc: 'A secret.', out: { secret: 'ay' }, secret: true, authorize: 'public' },
      Record: {
        doc: 'A dictionary with known keys.',
        out: { record: 'a{sv}', records: 'aa{sv}' },
        records: { record: { name: 's', size: 't' }, records: { name: 's' } },
        authorize: 'public',
      },
      Describe: { doc: 'All of it.', reads: true, out: { json: 's' }, authorize: 'public' },
    },
    properties: {
      Version: { type: 's', emits: 'const', doc: 'Version.' },
      Health: { type: 's', emits: 'true', doc: 'Health.' },
      LastError: { type: 's', emits: 'invalidates', doc: 'Error.' },
      Quiet: { type: 'u', emits: 'false', doc: 'Never announced.' },
    },
    signals: { Happened: { doc: 'It did.', args: { what: 's', at: 't' } } },
  }),
  child: {
    segment: 'thing',
    interface: defineInterface({
      name: 'org.iotedge.Echo1.Thing',
      doc: 'A thing.',
      properties: {
        Name: { type: 's', emits: 'const', doc: 'Its name.' },
        Size: { type: 't', emits: 'true', doc: 'Its size.' },
      },
    }),
  },
});

/** A served echo service, and its records for a test. */
export interface EchoFixture {
  readonly objects: ObjectManager<typeof echoService>;
  readonly server: Server<typeof echoService>;
  readonly logControl: LogControl;
  readonly questions: AuthorizationRequest[];
  /** Messages of failed calls, and the errors. */
  readonly failures: unknown[];
  /** Failures that the table does not list. */
  readonly undeclared: unknown[];
  readonly contexts: CallContext[];
  /** The buffers in replies, with their bytes at that time. */
  readonly replies: { readonly buffer: Buffer; readonly bytes: string }[];
}

/** The authorization and the limits of an echo service. */
export interface EchoOptions {
  readonly authorize?: (
    question: AuthorizationRequest,
    call: CallContext,
  ) => Promise<void> | undefined;
  readonly limits?: CallLimits;
  readonly trustedUids?: ReadonlySet<number>;
  readonly observer?: Partial<ServeObserver>;
}

const ways: Readonly<Record<string, () => unknown>> = {
  undefined: () => undefined,
  null: () => null,
  text: () => 'text',
  error: () => new Error('secret detail'),
  type: () => new TypeError('secret detail'),
  known: () => new ServiceError('NotFound', 'no thing "x"'),
  internal: () => new ServiceError('Failed', 'secret detail'),
  nul: () => new ServiceError('Unavailable', 'a\0b'),
  cyclic: () => {
    const error = new Error('cyclic');
    error.cause = error;
    return error;
  },
};

/** Serves the echo service under its name. */
export async function startEcho(bus: Bus, options: EchoOptions = {}): Promise<EchoFixture> {
  const questions: AuthorizationRequest[] = [];
  const failures: unknown[] = [];
  const undeclared: unknown[] = [];
  const contexts: CallContext[] = [];
  const replies: { buffer: Buffer; bytes: string }[] = [];
  const untilAborted = (call: CallContext): Promise<never> => {
    contexts.push(call);
    return new Promise((_resolve, reject) => {
      call.signal.addEventListener('abort', () => {
        reject(new ServiceError('Cancelled', 'the caller left'));
      });
    });
  };
  const logControl = { level: 'info', target: 'journal', syslogIdentifier: 'echo' };
  const objects = new ObjectManager(bus, echoService, '1');
  objects.setProperties({ Quiet: 0 });
  const server = serve(bus, objects, {
    handlers: {
      Echo({ data, options: { reverse = false } }, call) {
        contexts.push(call);
        const answer = reverse ? Buffer.from(data.toReversed()) : data;
        replies.push({ buffer: answer, bytes: answer.toString('hex') });
        return { answer };
      },
      Guarded: () => ({}),
      Resolved: () => ({}),
      async Fail({ way }) {
        if (way.startsWith('later-')) await new Promise((resolve) => void setTimeout(resolve, 1));
        // values that are not an Error are thrown on purpose
        // oxlint-disable-next-line typescript/only-throw-error
        throw ways[way.replace('later-', '')]?.();
      },
      Hang: (_, call) => untilAborted(call),
      GuardedHang: (_, call) => untilAborted(call),
      Wait: (_, call) => untilAborted(call),
      async Secret() {
        const secret = randomBytes(32);
        replies.push({ buffer: secret, bytes: secret.toString('hex') });
        return { secret };
      },
      Record: () => ({ record: { name: 'r', size: 5n }, records: [{ name: 'a' }, { name: 'b' }] }),
    },
    resolvers: { Resolved: ({ key_id }) => Promise.resolve({ owner: `owner of ${key_id}` }) },
    authorizer: {
      authorize(question, call) {
        questions.push(question);
        return options.authorize?.(question, call);
      },
    },
    callers: await Callers.start(bus),
    names: nameParsers,
    logControl,
    observer: {
      onDecision: () => undefined,
      onFailure: (_call, _message, error) => void failures.push(error),
      onUndeclared: (_call, error) => void undeclared.push(error),
      ...options.observer,
    },
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.trustedUids === undefined ? {} : { trustedUids: options.trustedUids }),
  });
  objects.goLive();
  await bus.requestName(echoService.busName);
  return { objects, server, logControl, questions, failures, undeclared, contexts, replies };
}

/** The address of the echo service on the bus. */
export const echoRemote = { busName: echoService.busName, path: echoService.path };
