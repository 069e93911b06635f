/** The version of the API in requests: of a real engine, and of one that refuses all others as engines do. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DockerModules } from '../../../../../src/modules/docker/docker-modules.ts';
import { DockerEngine } from '../../../../../src/modules/docker/engine/docker-engine.ts';
import { EngineMonitor } from '../../../../../src/modules/supervisor/engine-monitor.ts';
import { soon, until } from '../../../../support/deadline.ts';
import { PrivateEngine } from '../../../../support/engine/private-engine.ts';
import { CountingProxy } from '../../../../support/engine/proxy/counting-proxy.ts';
import { silentLog } from '../../../../support/log.ts';

const test = suite<{ directory: string }>('version of the API in requests');

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-api-'));
});

test.after.each(({ directory }) => rm(directory, { recursive: true }));

/** An engine without containers, strict about the version in paths; that of Engine 29 at first. */
class StrictEngine implements AsyncDisposable {
  oldest = 44;
  newest = 52;
  readonly #server = createServer((request, response) => {
    const [, minor, path = request.url] = /^\/v1\.(\d+)(\/.*)$/.exec(request.url ?? '') ?? [];
    this.requests.push(`${minor ?? 'none'} ${path?.replace(/\?.*/, '')}`);
    response.setHeader('content-type', 'application/json');
    if (path === '/version') {
      const ApiVersion = `1.${this.newest}`;
      response.end(
        JSON.stringify({ Version: '29', ApiVersion, MinAPIVersion: `1.${this.oldest}` }),
      );
    } else if (Number(minor) < this.oldest || Number(minor) > this.newest) {
      response.statusCode = 400;
      response.end(JSON.stringify({ message: `client version 1.${minor} is not supported` }));
    } else if (path?.startsWith('/events') === true) response.flushHeaders();
    else response.end('[]');
  });
  readonly requests: string[] = [];

  static async start(socketPath: string): Promise<StrictEngine> {
    const engine = new StrictEngine();
    engine.#server.listen(socketPath);
    await once(engine.#server, 'listening');
    return engine;
  }

  /** Ends all streams, as a restart does. */
  cut(): void {
    this.#server.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }
}

test('is that of the tests where the engine knows newer ones', async ({ directory }) => {
  const socketPath = join(directory, 'engine.sock');
  await using strict = await StrictEngine.start(socketPath);
  const engine = new DockerEngine(socketPath);
  await engine.list(soon());
  await engine.list(soon());
  const list = '51 /containers/json';
  assert.equal(strict.requests, ['none /version', list, list]);
});

test('is another one after the engine was replaced', async ({ directory }) => {
  const socketPath = join(directory, 'engine.sock');
  await using strict = await StrictEngine.start(socketPath);
  const engine = new DockerEngine(socketPath);
  const stop = new AbortController();
  const monitor = new EngineMonitor({
    type: new DockerModules(engine, silentLog),
    log: silentLog,
    now: () => new Date(),
    onStatus: () => {},
    onInstance: () => {},
    sleep: () => Promise.resolve(),
  });
  const running = monitor.run(stop.signal);
  try {
    for (const [oldest, newest, used] of [
      [44, 52, 51],
      [24, 45, 45],
      [60, 70, 60],
    ] as const) {
      Object.assign(strict, { oldest, newest });
      strict.requests.length = 0;
      strict.cut();
      await until(20_000, `requests with ${used}`, () =>
        strict.requests.includes(`${used} /events`),
      );
      await until(20_000, 'the engine', () => monitor.status.reachable);
      await engine.list(soon());
      assert.is(strict.requests.at(-1), `${used} /containers/json`);
    }
  } finally {
    stop.abort();
    await running;
  }
});

test('is one that a real engine accepts', async ({ directory }) => {
  await using machine = await PrivateEngine.start();
  const socketPath = join(directory, 'proxy.sock');
  await using proxy = await CountingProxy.start(socketPath, machine.socketPath);
  const engine = new DockerEngine(socketPath);
  await engine.list(soon());
  await engine.system(soon());
  const version = await machine.docker('version', '-f', '{{.Server.APIVersion}}');
  const minor = Math.min(51, Number(version.replace(/^1\./, '')));
  assert.equal(
    proxy.urls.map((url) => url.replace(/\?.*/, '')),
    ['/version', `/v1.${minor}/containers/json`, `/v1.${minor}/info`],
  );
});

test.run();
