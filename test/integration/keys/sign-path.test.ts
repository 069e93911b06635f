import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { connectAs } from '../../support/clients/connect-as.ts';
import { until } from '../../support/deadline.ts';
import { logOutput } from '../../support/rig/log-output.ts';
import { Rig } from '../../support/rig/rig.ts';
import { makeFor } from '../../support/rig/rig-services.ts';
import { identityOf } from '../../support/rig/rig-users.ts';

const test = suite('a Sign');

/** The maximum number of files of `src` that may run between reading a call of Sign and writing its reply. */
const mostFiles = { file: 25, pkcs11: 37 };
/** After these, the verdict of polkit, the session of the token and lazily compiled code exist. */
const warmUps = 20;
/** A timer that fires during a Sign counts for it. */
const measured = 3;

/** The functions that ran, by file of `src`. */
type Path = ReadonlyMap<string, readonly string[]>;

/** The output of v8.takeCoverage(), as far as the test reads it. */
interface Coverage {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly {
      readonly functionName: string;
      readonly ranges: readonly { readonly count: number }[];
    }[];
  }[];
}

let rig: Rig;
let bus: Bus;
let keys: Client<typeof keysInterface>;
let coverage: string;

test.before(async () => {
  rig = await Rig.start();
  coverage = join(rig.directory, 'coverage');
  await makeFor(keysService.user, coverage);
  bus = await connectAs(rig.address, identityOf('operator'));
  keys = client(bus, keysService, keysInterface);
  await startUnbundled();
});
test.after(async () => {
  await bus.close();
  await rig[Symbol.asyncDispose]();
});

/** Starts the Keys service unbundled, file by file, where the bus would start the bundled one. */
async function startUnbundled(): Promise<void> {
  const { directory } = rig;
  const compiled = join(directory, 'checkout/dist');
  const preloaded = join(compiled, 'test/support/keys/coverage-window.js');
  const service = ['--import', preloaded, join(compiled, 'src/keys/main.js')];
  const places = ['--config-dir', `${directory}/config`, '--state-dir', rig.stateDirectory('keys')];
  const child = rig.spawn(join(directory, 'node'), [...service, ...places], {
    user: keysService.user,
    environment: { SOFTHSM2_CONF: rig.token.configuration, NODE_V8_COVERAGE: coverage },
  });
  logOutput(child, join(directory, 'log/keys.log'));
  const hasName = async () => (await bus.nameOwner(keysService.busName)) !== undefined;
  await until(30_000, 'the Keys service', hasName);
}

async function sign(key_id: string): Promise<void> {
  await keys.Sign({ key_id, mechanism: 'ecdsa-sha256', data: Buffer.from('signed') });
}

async function measureSign(key: string): Promise<Path> {
  const pid = await rig.processOf('keys');
  assert.ok(pid);
  const { length } = await readdir(coverage);
  process.kill(pid, 'SIGUSR2');
  await until(10_000, 'the counters', async () => (await readdir(coverage)).length > length);
  await sign(key);
  const newest = (await readdir(coverage)).sort().at(-1) ?? '';
  return pathOf(JSON.parse(await readFile(join(coverage, newest), 'utf8')) as Coverage);
}

function pathOf({ result }: Coverage): Path {
  const files = result.flatMap(({ url, functions }) => {
    const file = /\/checkout\/dist\/(src\/.*)\.js$/.exec(url)?.[1];
    const ran = functions.filter(({ ranges }) => (ranges[0]?.count ?? 0) > 0);
    const names = ran.map(({ functionName }) => functionName || '(anonymous)');
    return file === undefined || ran.length === 0 ? [] : [[`${file}.ts`, names] as const];
  });
  return new Map(files.sort(([a], [b]) => a.localeCompare(b)));
}

function textOf(path: Path): string {
  const functions = [...path.values()].flat().length;
  const lines = [...path].map(([file, names]) => `${file}: ${names.join(' ')}`);
  return [`${path.size} files, ${functions} functions`, ...lines].join('\n');
}

for (const store of ['file', 'pkcs11'] as const) {
  test(`runs through at most ${mostFiles[store]} files with a key in ${store}`, async () => {
    const key = { key_id: store, algorithms: ['ec-p256'], usages: ['sign'] };
    await keys.CreateKeyPair({ ...key, options: { store } });
    for (let count = 0; count < warmUps; count++) await sign(store);
    const paths: Path[] = [];
    while (paths.length < measured) paths.push(await measureSign(store));
    const [shortest] = paths.sort((a, b) => a.size - b.size);
    assert.ok(shortest);
    assert.ok(shortest.has('src/keys/handlers.ts'), textOf(shortest));
    assert.ok(shortest.size <= mostFiles[store], textOf(shortest));
  });
}

test.run();
