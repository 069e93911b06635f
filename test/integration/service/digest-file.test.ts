import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { defineInterface, defineService, type Properties } from '../../../src/dbus/definition.ts';
import type { ObjectManager } from '../../../src/dbus/server/object-manager.ts';
import { describe, managerProperties } from '../../../src/interfaces/common.ts';
import { SystemAccounts } from '../../../src/service/accounts.ts';
import { ServiceLog } from '../../../src/service/log/log.ts';
import { runService } from '../../../src/service/service-lifecycle.ts';
import type { StartContext, StartedService } from '../../../src/service/service-program.ts';
import { CachingClient } from '../../support/clients/caching-client.ts';
import { deadline, until } from '../../support/deadline.ts';
import { PrivateBus } from '../../support/rig/private-bus.ts';

const thing = defineInterface({
  name: 'org.iotedge.Shower1.Thing',
  doc: 'A thing.',
  properties: {
    Name: { type: 's', emits: 'const', doc: 'Its name.' },
    Size: { type: 't', emits: 'true', doc: 'Its size.' },
    Contents: { type: 'as', emits: 'invalidates', doc: 'What is in it.' },
    Hidden: { type: 's', emits: 'false', doc: 'Of no interest.' },
  },
});
const shower = defineService({
  name: 'shower',
  doc: 'A service that shows things.',
  busName: 'org.iotedge.Shower1',
  path: '/org/iotedge/Shower1',
  user: 'root',
  actions: {},
  manager: defineInterface({
    name: 'org.iotedge.Shower1',
    doc: 'A service that shows things.',
    methods: { Describe: describe },
    properties: managerProperties,
  }),
  child: { segment: 'thing', interface: thing },
});

type Things = Readonly<Record<string, Properties<typeof thing>>>;

const ball = { Name: 'ball', Size: 1n, Contents: ['air'], Hidden: '' };
const box = { Name: 'box', Size: 2n, Contents: [], Hidden: '' };
const config = {
  log_level: 'error',
  idle_exit_s: 0,
  authorization: { backend: 'acl', cache_s: 10, acl: [] },
  grants: [],
} as const;
const at = (id: string): string => `${shower.path}/thing/${id}`;

/** A bus, a client that caches, and the directory in which the processes of the service leave files. */
interface Stage extends AsyncDisposable {
  readonly rig: PrivateBus;
  readonly client: CachingClient;
  readonly file: string;
}

/** Another process of the service. */
interface Life {
  readonly objects: ObjectManager<typeof shower>;
  readonly logged: string[];
  /** Ends regularly. */
  end(): Promise<void>;
}

async function live(
  rig: PrivateBus,
  things: Things,
  options: {
    readonly version?: string;
    readonly lastError?: string;
    readonly ready?: (objects: ObjectManager<typeof shower>) => Promise<void>;
  } = {},
): Promise<Life> {
  const { version = '1', lastError = '', ready } = options;
  const bus = await rig.connect();
  const stop = new AbortController();
  const logged: string[] = [];
  const sink = ({ message }: { readonly message: string }): void => void logged.push(message);
  const sinks = { console: sink, journal: sink };
  const log = new ServiceLog({ identifier: 'x', level: 'info', target: 'console', sinks });
  let shown: ObjectManager<typeof shower> | undefined;
  const running: StartedService<typeof shower> = {
    handlers: {},
    resolvers: {},
    ...(ready && { ready: () => (shown === undefined ? Promise.resolve() : ready(shown)) }),
  };
  const start = ({ objects }: StartContext<typeof shower, unknown>) => {
    shown = objects;
    objects.setProperties({ LastError: lastError });
    for (const [id, properties] of Object.entries(things)) objects.put(id, properties);
    return Promise.resolve(running);
  };
  const served = runService(
    { service: shower, start },
    {
      bus,
      config,
      digest: '',
      loadedAt: new Date(),
      version,
      log,
      stop: stop.signal,
      stateDir: rig.directory,
      accounts: new SystemAccounts({ getent: false }),
      notify: () => true,
      loadConfig: () => Promise.reject(new Error('is not read again')),
      onReloadRequest: () => undefined,
    },
  );
  await using watcher = await rig.connect();
  await until(10_000, 'the name', async () => {
    return (await watcher.nameOwner(shower.busName)) === bus.uniqueName;
  });
  if (shown === undefined) throw new Error('nothing was published');
  return {
    objects: shown,
    logged,
    end: async () => {
      stop.abort();
      await deadline(10_000, served, 'the end');
      await log[Symbol.asyncDispose]();
      await bus.close();
    },
  };
}

/** A client that has read all objects of a process that ended regularly. */
async function cachedAfter(things: Things): Promise<Stage> {
  const rig = await PrivateBus.start();
  const life = await live(rig, things);
  const bus = await rig.connect();
  const client = await CachingClient.start(bus, shower);
  await life.end();
  return {
    rig,
    client,
    file: join(rig.directory, 'shown.json'),
    async [Symbol.asyncDispose]() {
      await bus.close();
      await rig[Symbol.asyncDispose]();
    },
  };
}

const test = suite('changes while a service was stopped');

test('announces nothing when nothing changed, and writes nothing', async () => {
  await using stage = await cachedAfter({ ball, box });
  const before = await stat(stage.file);
  const life = await live(stage.rig, { box, ball });
  assert.equal(await stage.client.errors(), []);
  assert.equal(stage.client.signals, []);
  await life.end();
  const { ino, mtimeMs } = await stat(stage.file);
  assert.equal([ino, mtimeMs], [before.ino, before.mtimeMs]);
});

test('invalidates changed properties, and announces removed and added objects', async () => {
  await using stage = await cachedAfter({ ball, box, bag: { ...box, Name: 'bag' } });
  const { client, rig } = stage;
  const things = {
    ball: { ...ball, Size: 3n, Contents: ['gas'] },
    box,
    bin: { ...box, Name: 'bin' },
  };
  const life = await live(rig, things, { lastError: 'a bag is lost' });
  assert.equal(await client.errors(), []);
  assert.equal(client.signals, [
    `~ ${shower.path} LastError`,
    `~ ${at('ball')} Size`,
    `~ ${at('ball')} Contents`,
    `+ ${at('bin')}`,
    `- ${at('bag')}`,
  ]);
  await life.end();
});

test('removes and adds an object of which a constant changed', async () => {
  await using stage = await cachedAfter({ ball });
  const life = await live(stage.rig, { ball: { ...ball, Name: 'another' } });
  assert.equal(await stage.client.errors(), []);
  assert.equal(stage.client.signals, [`- ${at('ball')}`, `+ ${at('ball')}`]);
  await life.end();
});

test('does so also while it runs', async () => {
  await using stage = await cachedAfter({ ball });
  const life = await live(stage.rig, { ball });
  life.objects.put('ball', { ...ball, Name: 'another', Size: 5n });
  assert.equal(await stage.client.errors(), []);
  assert.equal(stage.client.signals, [`- ${at('ball')}`, `+ ${at('ball')}`]);
  life.objects.setProperties({ Version: '2' });
  await stage.client.errors();
  assert.is(stage.client.cached(shower.path).has('Version'), false);
  await life.end();
});

test('invalidates everything without the file, with a damaged one and with one of another version', async () => {
  const everything = [
    ...['Version', 'Health', 'LastError'].map((name) => `~ ${shower.path} ${name}`),
    ...['Name', 'Size', 'Contents'].map((name) => `~ ${at('ball')} ${name}`),
  ];
  const digests = { [at('ball')]: '' };
  const damages: readonly ((file: string) => Promise<unknown>)[] = [
    (file) => rm(file),
    (file) => writeFile(file, ''),
    (file) => writeFile(file, '{"version": 1'),
    (file) => writeFile(file, '[]'),
    (file) => writeFile(file, JSON.stringify({ version: 2, program: '1', objects: digests })),
    (file) => writeFile(file, JSON.stringify({ version: 1, program: '0', objects: digests })),
    (file) => writeFile(file, JSON.stringify({ version: 1, program: '1', objects: { 'a b': '' } })),
    (file) => writeFile(file, JSON.stringify({ version: 1, program: '1', objects: { '/a': 1 } })),
    // as an earlier form
    (file) => writeFile(file, JSON.stringify({ version: 1, program: '1', objects: { '/a': {} } })),
  ];
  for (const damage of damages) {
    await using stage = await cachedAfter({ ball });
    await damage(stage.file);
    const life = await live(stage.rig, { ball: { ...ball, Size: 9n } });
    assert.equal(await stage.client.errors(), []);
    assert.equal(stage.client.signals, everything);
    await life.end();
    assert.match(await readFile(stage.file, 'utf8'), '"program":"1"');
  }
});

test('removes the file before a change is announced, so that a crash leaves none', async () => {
  await using stage = await cachedAfter({ ball });
  const life = await live(stage.rig, { ball });
  assert.ok(existsSync(stage.file));
  await using bus = await stage.rig.connect();
  const seen = new Promise<boolean>((resolve) => {
    void bus.subscribe({ sender: shower.busName, path: at('ball') }, () =>
      resolve(existsSync(stage.file)),
    );
  });
  await stage.client.errors(); // the subscription exists by now
  life.objects.update('ball', { Size: 7n });
  assert.is(await deadline(5000, seen, 'the signal'), false);
  await life.end();
  const [, again] = [await readFile(stage.file), await live(stage.rig, { ball })];
  assert.equal(await stage.client.errors(), []);
  assert.equal(stage.client.signals, [`= ${at('ball')} Size`, `~ ${at('ball')} Size`]);
  await again.end();
});

test('removes it also before differences are announced at the start', async () => {
  await using stage = await cachedAfter({ ball });
  const life = await live(stage.rig, { ball: { ...ball, Size: 7n } });
  assert.is(existsSync(stage.file), false);
  await life.end();
});

test('ends regularly when the file cannot be written', async () => {
  await using stage = await cachedAfter({ ball });
  await rm(stage.file);
  await mkdir(stage.file);
  const life = await live(stage.rig, { ball });
  await life.end();
  assert.ok(life.logged.includes('list of published objects not saved'), life.logged.join());
  assert.is(life.logged.at(-1), 'stopped');
});

test('includes early changes in its first read, and announces later ones', async () => {
  await using stage = await cachedAfter({ ball });
  let wait: Promise<void> | undefined;
  const life = await live(
    stage.rig,
    { ball: { ...ball, Size: 0n } },
    {
      ready: async (objects) => {
        objects.update('ball', { Size: 1n });
        await new Promise((resolve) => setImmediate(resolve));
      },
    },
  );
  assert.equal(await stage.client.errors(), []);
  assert.equal(stage.client.signals, []);
  await life.end();

  let release = (): void => undefined;
  const later = await live(
    stage.rig,
    { ball: { ...ball, Size: 0n } },
    {
      ready: (objects) => {
        wait = new Promise<void>((resolve) => (release = resolve));
        return wait.then(() => objects.update('ball', { Size: 1n }));
      },
    },
  );
  assert.equal(stage.client.signals, [`~ ${at('ball')} Size`]);
  release();
  await wait;
  assert.equal(await stage.client.errors(), []);
  assert.equal(stage.client.signals, [`~ ${at('ball')} Size`, `= ${at('ball')} Size`]);
  await later.end();
});

test.run();
