/** A device whose process can be interrupted at each of its effects, with keys and time of this process. */
import { type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Issuer } from '../../../../src/certificates/issuers/issuer.ts';
import { SelfSignedIssuer } from '../../../../src/certificates/issuers/self-signed.ts';
import type { OrderKeys } from '../../../../src/certificates/keys/keys-client.ts';
import type { FailedAttempt } from '../../../../src/certificates/renewal/attempts.ts';
import { Executor } from '../../../../src/certificates/renewal/executor.ts';
import { orderRuleFor } from '../../../../src/certificates/renewal/order-rule.ts';
import { Records } from '../../../../src/certificates/renewal/records.ts';
import { Storage } from '../../../../src/certificates/storage.ts';
import { parseCertificateId } from '../../../../src/ids.ts';
import { KeyedMutex } from '../../../../src/service/mutex.ts';
import { type KeyAlgorithm, spkiOf } from '../../../../src/x509/algorithm.ts';
import { recordingLog } from '../../../support/log.ts';
import { via } from '../../../support/via.ts';
import { makeKey } from '../../../support/x509/openssl.ts';
import { configOf, LocalKeys } from '../rig.ts';

export const id = parseCertificateId('x');
export const day = 86_400_000;
export const config = configOf({ certificates: { x: { method: 'self_signed', lifetime: '30d' } } });

export class Crash extends Error {}

/** Ends the process before or after one of its effects. */
export class Fuse {
  #left: number;

  constructor(effects: number) {
    this.#left = effects;
  }

  get hasBlown(): boolean {
    return this.#left < 0;
  }

  async around<T>(effect: () => Promise<T>): Promise<T> {
    if (this.#left-- <= 0) throw new Crash();
    const result = await effect();
    if (this.#left-- <= 0) throw new Crash();
    return result;
  }
}

export class MadeKeys extends LocalKeys implements OrderKeys {
  readonly ids = new Map<string, KeyObject>();
  fuse = new Fuse(Number.POSITIVE_INFINITY);

  /** The algorithms that pairs were asked for with. */
  readonly wanted: (readonly string[])[] = [];

  createPair(keyId: string, algorithms: readonly KeyAlgorithm[] = []): Promise<void> {
    return this.fuse.around(async () => {
      this.wanted.push(algorithms);
      const key = this.ids.get(keyId) ?? makeKey(algorithms[0] ?? 'ec-p256');
      this.ids.set(keyId, key);
      this.add(keyId, key);
    });
  }

  async publicKey(keyId: string): Promise<Buffer | undefined> {
    const key = this.ids.get(keyId);
    return key && spkiOf(key);
  }

  deleteKey(keyId: string): Promise<void> {
    return this.fuse.around(async () => {
      this.ids.delete(keyId);
      this.delete(keyId);
    });
  }
}

class CrashingRecords extends Records {
  fuse = new Fuse(Number.POSITIVE_INFINITY);

  override change(...change: Parameters<Records['change']>): Promise<boolean> {
    return this.fuse.around(() => super.change(...change));
  }
}

/** A device whose process can be started again on its state. */
export class Device {
  now = new Date('2026-06-01T00:00:00Z');
  readonly keys = new MadeKeys();
  issuer: Issuer = new SelfSignedIssuer();
  readonly failures: FailedAttempt[] = [];
  /** What was logged as a warning, with its fields. */
  readonly warnings: string[] = [];
  /** The fields of what was logged as an error. */
  readonly errors: object[] = [];
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  rule = () => orderRuleFor(config, id);

  async start(fuse = new Fuse(Number.POSITIVE_INFINITY)) {
    const storage = await Storage.open(this.#directory);
    const changes = new KeyedMutex<typeof id>();
    const records = new CrashingRecords({ storage, changes, changed: async () => {} });
    records.fuse = fuse;
    this.keys.fuse = fuse;
    const executor = new Executor({
      records,
      keys: this.keys,
      issuing: () => ({ ruleOf: () => this.rule(), issuerOf: () => this.issuer }),
      onFailure: (failure) => this.failures.push(failure),
      log: recordingLog(({ level, message, fields }) => {
        if (level === 'error') this.errors.push(fields);
        if (level === 'warn') this.warnings.push([message, ...Object.values(fields)].join(' '));
      }),
      now: () => this.now,
      random: () => 0.5,
    });
    return { executor, records, storage };
  }

  /** Does what is due, and begins with an order when there is no certificate. */
  async work(fuse?: Fuse): Promise<void> {
    const { executor, records } = await this.start(fuse);
    if (records.get(id) === undefined) {
      await executor.order(id, () => ({ rule: this.rule(), isNewKey: undefined }), via);
    }
    await executor.advance(id, via);
    await executor.tidy(id, via);
  }

  async current() {
    const { storage } = await this.start();
    const entry = storage.get(id);
    const [certificate] = entry?.chain ?? [];
    assert.ok(entry !== undefined && certificate !== undefined, 'no certificate');
    const spki = await this.keys.publicKey(entry.keyId);
    assert.ok(spki?.equals(certificate.spki), 'the certificate has no key');
    return { entry, certificate };
  }
}

export async function onDevice(run: (device: Device) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-executor-'));
  try {
    await run(new Device(directory));
  } finally {
    await rm(directory, { recursive: true });
  }
}
