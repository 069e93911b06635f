import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { isServiceError, ServiceError, systemCode } from '../../../errors.ts';
import {
  DamagedFile,
  destroyStateFile,
  readStateJson,
  UnusableFile,
  writeStateJson,
} from '../../../service/state/state-file.ts';

/** 32 MiB and about 0.1 s per guess: a PIN of four digits takes a quarter of an hour. */
const scryptCost = { N: 1 << 15, r: 8, p: 1, maxmem: 64 << 20 } as const;
const saltBytes = 16;
const fingerprintBytes = 32;

interface Record {
  readonly reason: string;
  readonly salt: Buffer;
  readonly fingerprint: Buffer;
}

/** The last PIN that a token refused, persisted as a salted fingerprint, so that a restart does not try it again. */
export class RefusedPin {
  readonly path: string;
  /** The last match: comparing is expensive on purpose. */
  #cached: { readonly pin: string; readonly salt: Buffer } | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Why this PIN was refused, undefined when it was not. Unavailable when the record is unreadable. */
  async reasonOf(pin: string): Promise<string | undefined> {
    const record = await this.#file('read', () => readStateJson(this.path, parseRecord));
    if (record === undefined) return undefined;
    const { reason, salt, fingerprint } = record;
    if (this.#cached?.pin === pin && this.#cached.salt.equals(salt)) return reason;
    if (!timingSafeEqual(await fingerprintOf(pin, salt), fingerprint)) return undefined;
    this.#cached = { pin, salt };
    return reason;
  }

  /** Persists a PIN, replacing the previous one. Unavailable when that fails. */
  async save(pin: string, reason: string): Promise<void> {
    const salt = randomBytes(saltBytes);
    const fingerprint = await fingerprintOf(pin, salt);
    const record = {
      reason,
      salt: salt.toString('hex'),
      fingerprint: fingerprint.toString('hex'),
    };
    await this.#file('written', () => writeStateJson(this.path, record));
    this.#cached = { pin, salt };
  }

  /** Overwrites and removes the record: the PIN may be the right one. */
  async remove(): Promise<void> {
    await this.#file('removed', () => destroyStateFile(this.path));
  }

  async #file<T>(verb: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      if (isServiceError(error)) throw error;
      const code = systemCode(error) ?? 'unknown error';
      if (error instanceof UnusableFile) {
        throw new ServiceError('Unavailable', `no login: ${error.message}`, { cause: error });
      }
      const reason = error instanceof DamagedFile ? 'it is damaged' : code;
      const message = `the record of a refused PIN cannot be ${verb}: ${this.path}: ${reason}`;
      throw new ServiceError('Unavailable', message, { cause: error });
    }
  }
}

async function fingerprintOf(pin: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(pin, salt, fingerprintBytes, scryptCost, (error, fingerprint) => {
      if (error === null) resolve(fingerprint);
      else reject(error);
    });
  });
}

function parseRecord(value: unknown): Record {
  const fields = Object(value) as { [K in keyof Record]: unknown }; // checked below
  const { reason } = fields;
  const [salt, fingerprint] = [bytesOf(fields.salt), bytesOf(fields.fingerprint)];
  const isWhole = salt.length === saltBytes && fingerprint.length === fingerprintBytes;
  if (typeof reason !== 'string' || !isWhole) {
    throw new TypeError('it is not the record of a PIN');
  }
  return { reason, salt, fingerprint };
}

function bytesOf(value: unknown): Buffer {
  return Buffer.from(typeof value === 'string' ? value : '', 'hex');
}
