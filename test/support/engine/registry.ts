import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../deadline.ts';
import type { PrivateEngine } from './private-engine.ts';
import { listens } from './silent-registry.ts';

/** A registry in the engine's network; empty again after a restart. */
export class Registry implements AsyncDisposable {
  readonly address: string;
  readonly #engine: PrivateEngine;
  readonly #directory: string;
  readonly #stop: () => Promise<void>;

  private constructor(
    engine: PrivateEngine,
    address: string,
    directory: string,
    stop: () => Promise<void>,
  ) {
    this.#engine = engine;
    this.address = address;
    this.#directory = directory;
    this.#stop = stop;
  }

  /** With `htpasswd`, it asks for a user and a password: lines as the command htpasswd writes them, with bcrypt. */
  static async start(engine: PrivateEngine, port: number, htpasswd?: string): Promise<Registry> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-registry-'));
    const config = join(directory, 'config.yml');
    const address = `127.0.0.1:${port}`;
    const text = `version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: ${JSON.stringify(join(directory, 'data'))}}}
http: {addr: ${JSON.stringify(address)}, secret: ${JSON.stringify(randomUUID())}}
`;
    const users = join(directory, 'htpasswd');
    if (htpasswd !== undefined) await writeFile(users, htpasswd);
    const auth = `auth: {htpasswd: {realm: edge, path: ${JSON.stringify(users)}}}\n`;
    await writeFile(config, htpasswd === undefined ? text : text + auth);
    const server = engine.spawnInNetwork('docker-registry', 'serve', config);
    const ended = new Promise<void>((resolve) => server.once('close', () => resolve()));
    await until(30_000, 'the registry', () => listens(server.pid, port));
    const stop = async () => {
      server.kill('SIGKILL');
      await ended;
    };
    return new Registry(engine, address, directory, stop);
  }

  /** Tags the image, possibly with a tag that the registry already has, and pushes it; returns the digest. */
  async push(image: string, reference: string): Promise<string> {
    await this.#engine.docker('tag', image, reference);
    await this.#engine.docker('push', '--quiet', reference);
    const tag = reference.slice(reference.lastIndexOf(':') + 1);
    const repository = reference.slice(this.address.length + 1, -tag.length - 1);
    const link = `data/docker/registry/v2/repositories/${repository}/_manifests/tags/${tag}/current/link`;
    return (await readFile(join(this.#directory, link), 'utf8')).trim();
  }

  /** Damages every layer above this size, as a bad disk does; manifests are smaller. */
  async damageLayers(aboveBytes: number): Promise<void> {
    const blobs = join(this.#directory, 'data/docker/registry/v2/blobs');
    for (const name of await readdir(blobs, { recursive: true })) {
      const path = join(blobs, name);
      const { size } = await stat(path);
      if (!name.endsWith('/data') || size <= aboveBytes) continue;
      const content = await readFile(path);
      content[size >> 1] = ~(content[size >> 1] ?? 0) & 0xff;
      await writeFile(path, content);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** A digest that no image has. */
export const foreignDigest = `sha256:${createHash('sha256').update('foreign').digest('hex')}`;
