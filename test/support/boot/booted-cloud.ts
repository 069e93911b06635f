import { type ChildProcess, spawn } from 'node:child_process';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { deadline } from '../deadline.ts';
import { ThrowAwayAuthority } from '../polkit/throw-away-authority.ts';
import { deviceName, scopeId } from '../rig/rig-config.ts';
import type { BootedSystem } from './booted-system.ts';

const program = join(import.meta.dirname, '../cloud/main.js');

/** The only device of a cloud. */
export interface BootedDevice {
  readonly name: string;
  /** The root of its certificate, in PEM. */
  readonly root: string;
}

/** The cloud double in the network of a booted system, and the authority of its certificate and of the device's. */
export class BootedCloud implements AsyncDisposable {
  readonly authority: ThrowAwayAuthority;
  readonly endpoint: string;
  readonly #directory: string;
  readonly #process: ChildProcess;

  private constructor(
    {
      authority,
      directory,
    }: { readonly authority: ThrowAwayAuthority; readonly directory: string },
    process: ChildProcess,
    endpoint: string,
  ) {
    this.authority = authority;
    this.endpoint = endpoint;
    this.#directory = directory;
    this.#process = process;
  }

  /** Starts it with one device, by default that of the rigs. */
  static async start(system: BootedSystem, device?: BootedDevice): Promise<BootedCloud> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-booted-cloud-'));
    const authority = await ThrowAwayAuthority.create(join(directory, 'authority'));
    const { name, root } = device ?? { name: deviceName, root: await authority.certificate() };
    const files = await serverFiles(directory, authority, root);
    const [nsenter, ...args] = [...system.enterNetwork, process.execPath, program, ...files];
    const child = spawn('setpriv', ['--pdeathsig=KILL', String(nsenter), ...args, scopeId, name], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const said = await deadline(20_000, lines.next(), 'the cloud');
    const { endpoint } = JSON.parse(String(said.value)) as Pick<BootedCloud, 'endpoint'>;
    return new BootedCloud({ authority, directory }, child, endpoint);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGKILL');
      await deadline(10_000, once(this.#process, 'exit'), 'the cloud to end');
    }
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** The paths of the key of the server, its certificate, and the root of client certificates. */
async function serverFiles(
  directory: string,
  authority: ThrowAwayAuthority,
  root: string,
): Promise<readonly string[]> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const files = {
    'key.pem': privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    'certificate.pem': await authority.certify('localhost', createPublicKey(privateKey), 'server'),
    'root.pem': root,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  return Object.keys(files).map((name) => join(directory, name));
}
