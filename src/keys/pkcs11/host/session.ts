import { CKU_CONTEXT_SPECIFIC } from '../protocol/constants.ts';
import type { KeyOperation, PairTemplate, SecretTemplate } from '../protocol/operations.ts';
import type { Handle } from '../protocol/values.ts';
import type { Calls, Transform } from './calls.ts';
import { ckrName } from './failures.ts';
import type { InlinePolicy } from './inline-policy.ts';

/** One byte more than the longest signature, that of an RSA key of 8192 bits. */
const resultBytes = 1024 + 1;
/** How long a call may run on a thread before it is given up. */
export interface CallLimits {
  readonly keyUseMs: number;
  readonly generationMs: number;
}

const defaultLimits: CallLimits = { keyUseMs: 20_000, generationMs: 300_000 };

/** An empty buffer with an address: pkcs11js passes NULL for any other, which tokens reject as a missing argument. */
const emptyInput = Buffer.alloc(1).subarray(0, 0);

/** A call on a thread, and its name. */
interface Step {
  readonly call: string;
  readonly transform: Transform<Promise<Buffer>>;
}

/** Copies the result and wipes the original: the MAC of a base key is a key. */
function takeResult(result: Buffer): Buffer {
  const own = Buffer.from(result);
  result.fill(0);
  return own;
}

/**
 * A session, for one operation at a time. Most calls run on a thread of libuv. pkcs11js holds no reference to the
 * buffers of such a call, so the session holds one until the call ends.
 */
export class Session {
  readonly handle: Handle;
  /** Set when the session is unusable from now on. */
  broken = false;
  /** The buffers of the running call; never read, only protected from garbage collection. */
  held: readonly Buffer[] = [];
  readonly #calls: Calls;
  readonly #limits: CallLimits;
  readonly #output = Buffer.alloc(resultBytes);
  #isStuck = false;

  constructor(calls: Calls, handle: Handle, limits: CallLimits = defaultLimits) {
    this.#calls = calls;
    this.#limits = limits;
    this.handle = handle;
  }

  /** Whether a call was given up that may still use the session. */
  get isStuck(): boolean {
    return this.#isStuck;
  }

  /** Returns a signature or MAC; at once when the key is fast. */
  sign(operation: KeyOperation, inline: InlinePolicy): Buffer | Promise<Buffer> {
    const { mechanism, key, data, pin } = operation;
    this.#calls.C_SignInit(this.handle, mechanism, key);
    this.#logIn(pin);
    if (inline.isInline) return this.#signInline(data, inline);
    const transform: Step['transform'] = (...args) =>
      inline.timeAsync(() => this.#calls.C_SignAsync(...args));
    return this.#run({ call: 'C_Sign', transform }, data, this.#output);
  }

  /** Returns a ciphertext. */
  async encrypt({ mechanism, key, data, pin }: KeyOperation): Promise<Buffer> {
    this.#calls.C_EncryptInit(this.handle, mechanism, key);
    this.#logIn(pin);
    const step = { call: 'C_Encrypt', transform: this.#calls.C_EncryptAsync };
    return this.#run(step, data, Buffer.alloc(data.length + resultBytes));
  }

  /** Returns a plaintext, and wipes the buffer that the token wrote it to. */
  async decrypt({ mechanism, key, data, pin }: KeyOperation): Promise<Buffer> {
    this.#calls.C_DecryptInit(this.handle, mechanism, key);
    this.#logIn(pin);
    const step = { call: 'C_Decrypt', transform: this.#calls.C_DecryptAsync };
    return this.#run(step, data, Buffer.alloc(data.length + resultBytes));
  }

  async generatePair({ mechanism, ...pair }: PairTemplate): Promise<void> {
    const generate = () => this.#calls.C_GenerateKeyPairAsync(this.handle, mechanism, pair);
    await this.#onThread('C_GenerateKeyPair', generate, this.#limits.generationMs);
  }

  async generateKey({ mechanism, key }: SecretTemplate): Promise<void> {
    const generate = () => this.#calls.C_GenerateKeyAsync(this.handle, mechanism, key);
    await this.#onThread('C_GenerateKey', generate, this.#limits.generationMs);
  }

  #logIn(pin: Buffer | undefined): void {
    if (pin === undefined) return;
    try {
      this.#calls.C_Login(this.handle, CKU_CONTEXT_SPECIFIC, pin);
    } catch (error) {
      // only closing the session ends the initialized operation
      this.broken = true;
      throw error;
    }
  }

  #signInline(data: Buffer, inline: InlinePolicy): Buffer | Promise<Buffer> {
    const input = data.length === 0 ? emptyInput : data;
    try {
      return takeResult(inline.time(() => this.#calls.C_Sign(this.handle, input, this.#output)));
    } catch (error) {
      this.#output.fill(0);
      return this.#runAgain(error, { call: 'C_Sign', transform: this.#calls.C_SignAsync }, input);
    }
  }

  async #run(step: Step, data: Buffer, output: Buffer): Promise<Buffer> {
    const input = data.length === 0 ? emptyInput : data;
    try {
      return await this.#transform(step, input, output);
    } catch (error) {
      return this.#runAgain(error, step, input);
    }
  }

  /** Repeats a call whose buffer was too small: the operation is still active and would block the session. */
  async #runAgain(error: unknown, step: Step, input: Buffer): Promise<Buffer> {
    const name = ckrName(error);
    // the arguments were rejected before the operation was checked: it may still be active
    if (name === 'CKR_ARGUMENTS_BAD') this.broken = true;
    if (name !== 'CKR_BUFFER_TOO_SMALL') throw error;
    try {
      return await this.#transform(step, input, Buffer.alloc(input.length + 64 * resultBytes));
    } catch (again) {
      if (ckrName(again) === 'CKR_BUFFER_TOO_SMALL') this.broken = true;
      throw again;
    }
  }

  /** Runs a call on a thread. Its buffers are held, and wiped, when it has returned, also when it was given up. */
  async #transform({ call, transform }: Step, input: Buffer, output: Buffer): Promise<Buffer> {
    const run = async () => {
      this.held = [input, output];
      try {
        return takeResult(await transform(this.handle, input, output));
      } finally {
        this.held = [];
        output.fill(0);
      }
    };
    return this.#onThread(call, run, this.#limits.keyUseMs);
  }

  async #onThread<R>(call: string, run: () => Promise<R>, limitMs: number): Promise<R> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#isStuck = true;
        reject(new Error(`${call} has not returned for ${limitMs / 1000} s`));
      }, limitMs);
    });
    try {
      return await Promise.race([run(), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
