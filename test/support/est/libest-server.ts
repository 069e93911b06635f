import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { until } from '../deadline.ts';
import { HeldPort } from '../tls/held-port.ts';
import type { EstCa } from './est-ca.ts';

const waitMs = 20_000;

const configuration = (directory: string): string => `[ca]
default_ca = issuing
[issuing]
database = ${directory}/index.txt
serial = ${directory}/serial
new_certs_dir = ${directory}
certificate = ${directory}/issuing.cer
private_key = ${directory}/issuing.key
default_md = sha256
default_days = 30
policy = names
unique_subject = no
copy_extensions = copy
x509_extensions = leaf
[names]
commonName = supplied
[leaf]
basicConstraints = critical,CA:false
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
`;

/** The EST server of libest with the CA of a test; it knows the user `estuser` with the password `estpwd`. */
export class LibestServer implements AsyncDisposable {
  readonly url: string;
  readonly #held: HeldPort;
  readonly #process: ChildProcess;
  #output = '';

  private constructor(held: HeldPort, process: ChildProcess) {
    this.url = `https://localhost:${held.port}`;
    this.#held = held;
    this.#process = process;
    for (const stream of [process.stdout, process.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString('latin1');
      });
    }
  }

  static async start(ca: EstCa): Promise<LibestServer> {
    const { directory } = ca;
    const file = (name: string): string => join(directory, name);
    await ca.makeLeaf('server');
    const [issuing, root] = [await ca.certificate('issuing'), await ca.certificate('root')];
    await writeFile(file('cacerts.pem'), issuing + root);
    await writeFile(file('libest.conf'), configuration(directory));
    await writeFile(file('index.txt'), '');
    await writeFile(file('serial'), '1000\n');
    const held = await HeldPort.hold();
    const args = [
      '-c',
      file('server.cer'),
      '-k',
      file('server.key'),
      '-o',
      '-v',
      '-p',
      String(held.port),
    ];
    const child = spawn('estserver', [...args, '-r', 'estrealm'], {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        EST_TRUSTED_CERTS: file('cacerts.pem'),
        EST_CACERTS_RESP: file('cacerts.pem'),
        EST_OPENSSL_CACONFIG: file('libest.conf'),
      },
    });
    const server = new LibestServer(held, child);
    await until(
      waitMs,
      () => `estserver: ${server.#output}`,
      () => isListening(held.port),
    );
    return server;
  }

  /** The operation of the last order that it has answered since the last call. */
  async lastOrder(): Promise<string | undefined> {
    let found: string | undefined;
    // it writes what it has done a moment after the answer
    const isLogged = (): boolean => {
      found = /.*"POST \S*\/(\w+) HTTP/s.exec(this.#output)?.[1];
      return found !== undefined;
    };
    await until(waitMs, () => `an order: ${this.#output}`, isLogged);
    this.#output = '';
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _held = this.#held;
    if (this.#process.exitCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}

/** It answers to nothing but TLS, and reads one connection after the other. */
async function isListening(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect');
    return true;
  } catch {
    return false; // not yet
  } finally {
    socket.destroy();
  }
}
