/** Removals of containers that an engine refuses: a real one, and one that responds as engines do when they cannot remove. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DockerEngine } from '../../../../../src/modules/docker/engine/docker-engine.ts';
import { deadline, soon } from '../../../../support/deadline.ts';
import { importBusybox } from '../../../../support/engine/images.ts';
import { PrivateEngine } from '../../../../support/engine/private-engine.ts';
import { messageOf } from '../../../../support/failure.ts';

const test = suite<{ directory: string }>('removals that an engine refuses');
const shortMs = 10_000;

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-removals-'));
});

test.after.each(({ directory }) => rm(directory, { recursive: true }));

const running = { Id: '1f2e', State: { Status: 'running', Running: true } };

/** An engine that refuses every removal with this message; a removal that is waited for ends so, or never. */
class RefusingEngine implements AsyncDisposable {
  readonly #server;

  private constructor(message: string, waited: object | undefined) {
    this.#server = createServer((request, response) => {
      response.setHeader('content-type', 'application/json');
      const path = request.url?.replace(/^\/v1\.\d+|\?.*$/g, '');
      if (path === '/version') response.end(JSON.stringify({ Version: '20', ApiVersion: '1.41' }));
      else if (path === '/containers/1f2e/json') response.end(JSON.stringify(running));
      else if (request.method === 'DELETE') {
        response.statusCode = 409;
        response.end(JSON.stringify({ message }));
      } else if (waited === undefined) response.flushHeaders();
      else response.end(JSON.stringify(waited));
    });
  }

  static async start(path: string, message: string, waited?: object): Promise<RefusingEngine> {
    const engine = new RefusingEngine(message, waited);
    engine.#server.listen(path);
    await once(engine.#server, 'listening');
    return engine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

const unkillable =
  'Could not kill running container 1f2e, cannot remove - tried to kill container, but did not receive an exit event';
const dependents = 'container 1f2e has dependent containers which must be removed before it: 3c4d';
const inProgress = 'removal of container 1f2e is already in progress';

for (const refusal of [unkillable, dependents]) {
  test(`fail with the engine's reason at once: ${refusal}`, async ({ directory }) => {
    const path = join(directory, 'engine.sock');
    await using _ = await RefusingEngine.start(path, refusal);
    const removal = messageOf(new DockerEngine(path).remove('1f2e', soon()));
    const message = await deadline(shortMs, removal, 'the failure');
    assert.is(message, `Unavailable: removing container "1f2e": ${refusal}`);
  });
}

test('end with that of another client', async ({ directory }) => {
  const path = join(directory, 'engine.sock');
  await using _ = await RefusingEngine.start(path, inProgress, { StatusCode: 0, Error: null });
  await new DockerEngine(path).remove('1f2e', soon());
});

test('fail with that of another client', async ({ directory }) => {
  const path = join(directory, 'engine.sock');
  const failed = { StatusCode: 0, Error: { Message: 'unlinkat /x: device or resource busy' } };
  await using _ = await RefusingEngine.start(path, inProgress, failed);
  const message = await messageOf(new DockerEngine(path).remove('1f2e', soon()));
  assert.is(message, `Unavailable: removing container "1f2e": ${failed.Error.Message}`);
});

test('succeed of a real engine that removes the container for another client', async ({
  directory,
}) => {
  const socketPath = join(directory, 'engine.sock');
  await using machine = await PrivateEngine.start(socketPath);
  await importBusybox(machine, 'localhost/busybox:1');
  const id = await machine.docker('run', '-d', 'localhost/busybox:1', 'sleep', '1000');
  const engine = new DockerEngine(socketPath);
  await engine.list(soon());
  await Promise.all(Array.from({ length: 8 }, () => engine.remove(id, soon())));
  assert.is(await machine.docker('ps', '-aq'), '');
});

test.run();
