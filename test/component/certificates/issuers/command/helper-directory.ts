/** Helpers of certificates in a directory that counts as root's, and orders for them. */
import type { KeyObject } from 'node:crypto';
import { lstat, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandIssuer } from '../../../../../src/certificates/issuers/command/command-issuer.ts';
import type { Lookups } from '../../../../../src/certificates/issuers/command/trusted-program.ts';
import type { Answer, Order } from '../../../../../src/certificates/issuers/issuer.ts';
import type { Via } from '../../../../../src/dbus/client/via.ts';
import { parseCertificateId } from '../../../../../src/ids.ts';
import { localSigner, spkiOf } from '../../../../../src/x509/algorithm.ts';
import { buildCsr } from '../../../../../src/x509/csr.ts';
import { encodeName, parseName } from '../../../../../src/x509/name.ts';
import { silentLog } from '../../../../support/log.ts';
import { via } from '../../../../support/via.ts';
import { makeKey } from '../../../../support/x509/openssl.ts';

/** What a helper is run with besides its script. */
interface Run {
  readonly order?: Partial<Order>;
  readonly args?: readonly string[];
  readonly timeoutMs?: number;
  readonly via?: Via;
}

/** A directory with helpers; removed by the disposal. */
export class Helpers implements AsyncDisposable {
  readonly directory: string;
  readonly key: KeyObject;
  readonly #csr: Buffer;

  private constructor(directory: string, key: KeyObject, csr: Buffer) {
    this.directory = directory;
    this.key = key;
    this.#csr = csr;
  }

  static async create(): Promise<Helpers> {
    const key = makeKey('ec-p256');
    const request = { subject: parseName('CN=x'), spki: spkiOf(key), signer: localSigner(key) };
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-command-'));
    return new Helpers(directory, key, await buildCsr(request));
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Everything above the directory is root's, and so is what the user of the test has made in it. */
  readonly lookups: Lookups = {
    lstat: (async (path: string) => {
      const stats = await lstat(path);
      if (stats.uid === process.getuid?.()) stats.uid = 0;
      if (!path.startsWith(this.directory)) Object.assign(stats, { uid: 0, mode: 0o40755 });
      return stats;
    }) as Lookups['lstat'], // the one overload that is called
  };

  /** Writes a helper: a script of the shell. */
  async write(script: string, name = 'helper'): Promise<string> {
    await writeFile(this.path(name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return this.path(name);
  }

  get order(): Order {
    const key = { keyId: 'k', spki: spkiOf(this.key), signer: localSigner(this.key) };
    return {
      id: parseCertificateId('x'),
      profile: 'client',
      lifetimeS: undefined,
      subjectDer: encodeName(parseName('CN=x')),
      names: [],
      key,
      request: this.#csr,
      cookie: undefined,
      renewed: undefined,
      now: new Date(),
    };
  }

  /** What an order for a helper leads to. */
  async run(script: string, options: Run = {}): Promise<Answer> {
    return this.submit(await this.write(script), options);
  }

  submit(program: string, { order, args = [], timeoutMs = 10_000, via: on = via }: Run = {}) {
    const issuer = new CommandIssuer({
      name: 'site',
      settings: { method: 'command', command: [program, ...args], timeoutMs },
      log: silentLog,
      lookups: this.lookups,
      killAfterMs: 200,
    });
    return issuer.submit({ ...this.order, ...order }, on);
  }

  /** The text of a file that a helper writes, when it is there. */
  async text(name: string): Promise<string> {
    for (let tries = 0; tries < 400; tries++) {
      const text = await readFile(this.path(name), 'utf8').catch(() => '');
      if (text !== '') return text;
      await sleep(10);
    }
    throw new Error(`no ${name}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}
