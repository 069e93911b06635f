import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { isServiceError, ServiceError } from '../../errors.ts';
import {
  DamagedFile,
  destroyStateFile,
  readStateJson,
  writeStateFile,
} from '../../service/state-file.ts';

/** 32 MiB and some 0.1 s a guess: a PIN of four digits takes a quarter of an hour, not a blink. */
const COST = { N: 1 << 15, r: 8, p: 1, maxmem: 64 << 20 } as const;
const FINGERPRINT_BYTES = 32;

/** Why a PIN is not tried again. */
export interface Refusal {
  readonly reason: string;
  /** Whether the token said CKF_USER_PIN_COUNT_LOW then: once it does not, somebody has logged in. */
  readonly wasCountLow: boolean;
}

interface Record extends Refusal {
  readonly salt: Buffer;
  readonly fingerprint: Buffer;
}

/** The PIN that a token refused last, on disk as a salted fingerprint, so that a restart does not try it again. */
export class RefusedPin {
  readonly path: string;
  /** Comparing costs time and memory on purpose, so what was found out is kept while the process lives. */
  #known: { readonly pin: string; readonly salt: Buffer } | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Why this PIN was refused, `undefined` when it was not. Unavailable when that cannot be told. */
  async refusalOf(pin: string): Promise<Refusal | undefined> {
    const record = await this.#file('read', () => readStateJson(this.path, parseRecord));
    if (record === undefined) return undefined;
    const { salt, fingerprint } = record;
    if (this.#known?.pin === pin && this.#known.salt.equals(salt)) return record;
    if (!timingSafeEqual(await fingerprintOf(pin, salt), fingerprint)) return undefined;
    this.#known = { pin, salt };
    return record;
  }

  /** Remembers a PIN durably in the place of the one before. Unavailable when it cannot. */
  async remember(pin: string, refusal: Refusal): Promise<void> {
    const salt = randomBytes(16);
    const fingerprint = await fingerprintOf(pin, salt);
    const record = {
      ...refusal,
      salt: salt.toString('hex'),
      fingerprint: fingerprint.toString('hex'),
    };
    await this.#file('written', () => writeStateFile(this.path, JSON.stringify(record)));
    this.#known = { pin, salt };
  }

  /** Forgets it, overwritten because the PIN may be the right one. */
  async forget(): Promise<void> {
    await this.#file('removed', () => destroyStateFile(this.path));
  }

  async #file<T>(verb: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      if (isServiceError(error)) throw error;
      const reason = error instanceof DamagedFile ? 'it is damaged' : codeOf(error);
      const message = `the record of a refused PIN cannot be ${verb}: ${this.path}: ${reason}`;
      throw new ServiceError('Unavailable', message, { cause: error });
    }
  }
}

async function fingerprintOf(pin: string, salt: Buffer): Promise<Buffer> {
  return await new Promise((resolve, reject) => {
    scrypt(pin, salt, FINGERPRINT_BYTES, COST, (error, fingerprint) => {
      if (error === null) resolve(fingerprint);
      else reject(error);
    });
  });
}

function parseRecord(value: unknown): Record {
  const { reason, wasCountLow, salt, fingerprint } = Object(value) as {
    [K in keyof Record]: unknown;
  }; // checked below
  const [saltBytes, fingerprintBytes] = [bytesOf(salt), bytesOf(fingerprint)];
  if (
    typeof reason !== 'string' ||
    typeof wasCountLow !== 'boolean' ||
    fingerprintBytes.length !== FINGERPRINT_BYTES
  ) {
    throw new TypeError('it is not the record of a PIN');
  }
  return { reason, wasCountLow, salt: saltBytes, fingerprint: fingerprintBytes };
}

function bytesOf(value: unknown): Buffer {
  return Buffer.from(typeof value === 'string' ? value : '', 'hex');
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
}
