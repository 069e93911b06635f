/** Signals while an import takes PKCS#12 apart, with doubles of the services whose replies come after the signal. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { importPkcs12 } from '../../../src/cli/certificates/pkcs12/import.ts';
import { replyTo } from '../../../src/cli/certificates/pkcs12/reply.ts';
import { exitCodes } from '../../../src/cli/command.ts';
import { exitCodeOf } from '../../../src/cli/exit-code.ts';
import { InterruptedError } from '../../../src/cli/interrupt.ts';
import { defineInterface, defineService } from '../../../src/dbus/definition.ts';
import { Callers } from '../../../src/dbus/server/caller.ts';
import { ObjectManager } from '../../../src/dbus/server/object-manager.ts';
import { serve } from '../../../src/dbus/server/serve.ts';
import { ServiceError } from '../../../src/errors.ts';
import { nameParsers } from '../../../src/ids.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { encodeCertificatesPem } from '../../../src/x509/certificate.ts';
import { outputOf } from '../../support/command.ts';
import { deadline, until } from '../../support/deadline.ts';
import { PrivateBus } from '../../support/rig/private-bus.ts';
import { suite } from '../../support/timed-suite.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';

const test = suite<Setting>('an import of PKCS#12 that is interrupted');
const password = 'secret';
const signals = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;

interface Setting {
  bus: PrivateBus;
  directory: string;
  file: Buffer;
  /** Runs before the reply to ImportKey or ImportCertificate. */
  before: Record<'ImportKey' | 'ImportCertificate', () => Promise<void>>;
  calls: string[];
  notes: string[];
}

const { DeleteKey, Describe, GetPublicKey, ImportKey } = keysInterface.methods;
const keys = defineService({
  ...keysService,
  manager: defineInterface({
    name: keysInterface.name,
    doc: 'Has no keys.',
    methods: { DeleteKey, Describe, GetPublicKey, ImportKey },
    properties: keysInterface.properties,
  }),
});
const { ImportCertificate, Describe: DescribeCertificates } = certificatesInterface.methods;
const certificates = defineService({
  ...certificatesService,
  manager: defineInterface({
    name: certificatesInterface.name,
    doc: 'Has no certificates.',
    methods: { Describe: DescribeCertificates, ImportCertificate },
    properties: keysInterface.properties,
  }),
});

async function serveDoubles(context: Setting): Promise<void> {
  const { before, calls } = context;
  const [ofKeys, ofCertificates] = [await context.bus.connect(), await context.bus.connect()];
  const options = {
    resolvers: {},
    authorizer: { authorize: () => undefined },
    names: nameParsers,
    logControl: { level: 'info', target: 'console', syslogIdentifier: 'double' },
    observer: { onDecision: () => undefined, onFailure: () => undefined },
  } as const;
  const keyObjects = new ObjectManager(ofKeys, keys, '1');
  serve(ofKeys, keyObjects, {
    ...options,
    callers: await Callers.start(ofKeys),
    handlers: {
      DeleteKey: ({ key_id }) => {
        calls.push(`DeleteKey ${key_id}`);
        return {};
      },
      GetPublicKey: () => {
        throw new ServiceError('NotFound', 'no key');
      },
      ImportKey: async ({ key_id }) => {
        calls.push(`ImportKey ${key_id}`);
        await before.ImportKey();
        return { key: '/' };
      },
    },
  });
  const certificateObjects = new ObjectManager(ofCertificates, certificates, '1');
  serve(ofCertificates, certificateObjects, {
    ...options,
    callers: await Callers.start(ofCertificates),
    handlers: {
      ImportCertificate: async ({ certificate_id }) => {
        calls.push(`ImportCertificate ${certificate_id}`);
        await before.ImportCertificate();
        return { certificate: '/' };
      },
    },
  });
  for (const objects of [keyObjects, certificateObjects]) objects.goLive();
  await ofKeys.requestName(keys.busName);
  await ofCertificates.requestName(certificates.busName);
}

/** Keeps a signal that the command does not handle from ending the test. */
const survive = (): void => undefined;

test.before(async (context) => {
  for (const signal of signals) process.on(signal, survive);
  const key = makeKey('ec-p256');
  const certificate = await makeCa({ name: 'CN=web', key });
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-interrupted-'));
  await writeFile(join(context.directory, 'password'), password);
  const pem = join(context.directory, 'web.pem');
  const keyPem = String(key.export({ format: 'pem', type: 'pkcs8' }));
  await writeFile(pem, `${keyPem}${encodeCertificatesPem([certificate])}`);
  const args = ['pkcs12', '-export', '-in', pem, '-iter', '1', '-passout', `pass:${password}`];
  context.file = await outputOf('openssl', args);
  const now = () => Promise.resolve();
  Object.assign(context, {
    calls: [],
    notes: [],
    before: { ImportKey: now, ImportCertificate: now },
  });
  context.bus = await PrivateBus.start();
  await serveDoubles(context);
});
test.before.each(({ before, calls, notes }) => {
  calls.length = notes.length = 0;
  before.ImportKey = before.ImportCertificate = () => Promise.resolve();
});
test.after(async ({ bus, directory }) => {
  for (const signal of signals) process.removeListener(signal, survive);
  await bus[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

/** Sends this process a signal, and waits until the command has noted it. */
async function interrupted(notes: readonly string[], signal: NodeJS.Signals): Promise<void> {
  process.kill(process.pid, signal);
  await until(10_000, 'the command to note it', () => notes.some((note) => /interrupt/.test(note)));
}

/** Imports the file; returns the failure. */
async function failureOf(
  { bus, directory, file, notes }: Setting,
  patienceMs?: number,
): Promise<unknown> {
  const connection = await bus.connect();
  const context = {
    bus: () => Promise.resolve(connection),
    positionals: [],
    options: { 'password-file': join(directory, 'password') },
    print: () => undefined,
    note: (text: string) => void notes.push(text),
  };
  const data = Buffer.from(file); // it is wiped
  try {
    await deadline(
      30_000,
      importPkcs12(context, {
        id: 'web',
        keyId: 'key',
        data,
        what: 'a.p12',
        ...(patienceMs !== undefined && { patienceMs }),
      }),
      'the import',
    );
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await connection.close();
  }
}

for (const signal of signals) {
  test(`deletes the key again that arrived with ${signal}, and imports no certificate`, async (context) => {
    const { before, calls, notes } = context;
    before.ImportKey = () => interrupted(notes, signal);
    const failure = await failureOf(context);
    assert.instance(failure, InterruptedError);
    assert.is(exitCodeOf(failure), exitCodes.interrupted);
    assert.equal(calls, ['ImportKey key', 'DeleteKey key']);
    for (const each of signals) assert.is(process.listenerCount(each), 1, each);
  });
}

test('deletes no key that was there before', async (context) => {
  const { before, calls, notes } = context;
  before.ImportKey = async () => {
    await interrupted(notes, 'SIGINT');
    throw new ServiceError('AlreadyExists', 'there is one');
  };
  assert.match(String(await failureOf(context)), '--replace-key');
  assert.equal(calls, ['ImportKey key']);
});

test('deletes the key when the certificate is refused after that', async (context) => {
  const { before, calls, notes } = context;
  before.ImportCertificate = async () => {
    await interrupted(notes, 'SIGTERM');
    throw new ServiceError('AccessDenied', 'no agent any more');
  };
  assert.match(String(await failureOf(context)), 'no agent any more');
  assert.equal(calls, ['ImportKey key', 'ImportCertificate web', 'DeleteKey key']);
});

test('keeps the key, and says what to do, when no reply says whether the certificate is stored', async (context) => {
  const { before, calls, notes } = context;
  let reply: () => void = () => undefined;
  before.ImportCertificate = async () => {
    await interrupted(notes, 'SIGINT');
    await new Promise<void>((resolve) => {
      reply = resolve;
    });
  };
  const failure = await failureOf(context, 100);
  reply();
  assert.instance(failure, InterruptedError);
  assert.equal(calls, ['ImportKey key', 'ImportCertificate web']);
  const [, left = ''] = notes;
  assert.match(left, /key was imported and stays/);
  assert.match(left, "'iotedgectl keys delete key'");
  assert.match(left, "'iotedgectl certificates show web'");
});

test('keeps the key of a certificate that is stored all the same, and is ended by a second signal', async (context) => {
  const { before, calls, notes } = context;
  const left: number[] = [];
  before.ImportCertificate = async () => {
    await interrupted(notes, 'SIGINT');
    left.push(...signals.map((each) => process.listenerCount(each)));
  };
  assert.is(await failureOf(context), undefined);
  assert.equal(calls, ['ImportKey key', 'ImportCertificate web']);
  assert.equal(left, [1, 1, 1]);
});

test('does not wait for ever for a reply, and says what is not known', async () => {
  const signal = AbortSignal.abort();
  const waiting = { signal, note: () => undefined, patienceMs: 1 };
  const failure = await replyTo(new Promise(() => undefined), 'whether it is there', waiting).catch(
    (error: unknown) => error,
  );
  assert.instance(failure, InterruptedError);
  assert.match(String(failure), 'not known whether it is there');
});

test.run();
