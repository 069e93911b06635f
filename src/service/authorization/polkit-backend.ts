/**
 * Authorization by polkit. A request takes one of these paths:
 *
 *   cached verdict ──────────────────────────► yes / no, at once
 *   plain check ──► yes / no ────────────────► cached for a while
 *        └──► challenge ──► not interactive ─► InteractiveAuthorizationRequired
 *                  └──► interactive check ───► yes / no, used once
 *
 * Every failure on the way denies the request.
 */
import type { AuthorizationRequest } from '../../dbus/server/authorization-gate.ts';
import type { CallContext } from '../../dbus/server/call.ts';
import { isServiceError, ServiceError } from '../../errors.ts';
import type { AuthorizationBackend } from './authorization-backend.ts';
import { checkLimits, FairLimiter } from './fair-limiter.ts';
import type { CheckOptions, PolkitClient, PolkitResult } from './polkit-client.ts';
import { VerdictCache, type VerdictLifetimes } from './verdict-cache.ts';

/** The polkit client and how long its verdicts are cached. */
export interface PolkitBackendOptions {
  readonly client: PolkitClient;
  readonly lifetimes: VerdictLifetimes;
  /** Monotonic clock in milliseconds. */
  readonly clock?: () => number;
}

// polkit 122 can hang for 15 s (fixed upstream in 123 by commit 5615ed0)
const plainTimeoutMs = 20_000;
const interactiveTimeoutMs = 300_000;

/** Queries polkit, as rarely as the cache allows. */
export class PolkitBackend implements AuthorizationBackend {
  readonly #client: PolkitClient;
  readonly #cache: VerdictCache;
  readonly #clock: () => number;
  readonly #limiter = new FairLimiter(checkLimits);
  /** Pending plain checks by request and generation: calls with the same request share one. */
  readonly #plain = new Map<string, Promise<PolkitResult>>();
  /** Pending prompts, with the generation in which polkit returned the challenge. */
  readonly #prompts = new Map<string, number>();
  #watching: Promise<void> | undefined;

  constructor({ client, lifetimes, clock = () => performance.now() }: PolkitBackendOptions) {
    this.#client = client;
    this.#cache = new VerdictCache(lifetimes);
    this.#clock = clock;
  }

  decide(request: AuthorizationRequest, call: CallContext): Promise<void> | undefined {
    const key = keyOf(request, call.caller.sender);
    const cached = this.#cache.get(key, this.#clock());
    if (cached === true) return undefined;
    if (cached === false) throw denied(request);
    return this.#ask(request, call, key);
  }

  /** Sets new cache lifetimes and drops every earlier verdict, those of pending checks included. */
  renew(lifetimes: VerdictLifetimes): void {
    this.#cache.lifetimes = lifetimes;
    this.#cache.evictAll();
  }

  evict(sender: string): void {
    this.#cache.evictSender(sender);
  }

  async #ask(request: AuthorizationRequest, call: CallContext, key: string): Promise<void> {
    const prompted = this.#prompts.get(key) === this.#cache.generation;
    let result = prompted ? 'challenge' : await this.#askPlainly(request, call, key);
    if (result === 'challenge') {
      if (!call.interactive) throw interactionRequired(request);
      result = await this.#askInteractively(request, call, key);
    }
    if (call.signal.aborted) throw new ServiceError('Cancelled', 'the caller left');
    if (result !== 'yes' && result !== 'yes-once') throw denied(request);
  }

  #askPlainly(
    request: AuthorizationRequest,
    call: CallContext,
    key: string,
  ): Promise<PolkitResult> {
    const shared = `${this.#cache.generation}\0${key}`;
    let result = this.#plain.get(shared);
    if (result === undefined) {
      result = this.#checkPlainly(request, call, key).finally(() => this.#plain.delete(shared));
      this.#plain.set(shared, result);
    }
    return result;
  }

  async #checkPlainly(
    request: AuthorizationRequest,
    call: CallContext,
    key: string,
  ): Promise<PolkitResult> {
    const { signal, caller } = call;
    return this.#limiter.run({ uid: caller.uid, slow: false, signal }, async () => {
      await this.#watch(request);
      const askedAt = this.#clock();
      const { generation } = this.#cache;
      const result = await this.#check(request, caller.sender, {
        interactive: false,
        timeoutMs: plainTimeoutMs,
        signal,
      });
      const plain = result === 'yes' || result === 'no';
      if (plain && !signal.aborted) {
        const allowed = result === 'yes';
        this.#cache.add(key, caller.sender, { allowed, askedAt, generation });
      }
      return result;
    });
  }

  #askInteractively(
    request: AuthorizationRequest,
    call: CallContext,
    key: string,
  ): Promise<PolkitResult> {
    const { signal, caller } = call;
    return this.#limiter.run({ uid: caller.uid, slow: true, signal }, async () => {
      this.#prompts.set(key, this.#cache.generation);
      try {
        return await this.#check(request, caller.sender, {
          interactive: true,
          timeoutMs: interactiveTimeoutMs,
          signal,
        });
      } finally {
        this.#prompts.delete(key);
      }
    });
  }

  async #check(
    request: AuthorizationRequest,
    sender: string,
    options: CheckOptions,
  ): Promise<PolkitResult> {
    try {
      return await this.#client.check(request, sender, options);
    } catch (error) {
      throw failedCheck(request, error);
    }
  }

  /** Verdicts may be cached only while change notifications arrive. */
  async #watch(request: AuthorizationRequest): Promise<void> {
    this.#watching ??= this.#client.watch(() => this.#cache.evictAll());
    try {
      await this.#watching;
    } catch (error) {
      this.#watching = undefined;
      throw failedCheck(request, error);
    }
  }
}

/** No text on the bus contains a NUL, so no two requests have the same key. */
function keyOf({ action, details }: AuthorizationRequest, sender: string): string {
  let key = `${sender}\0${action}`;
  for (const name in details) key += `\0${name}\0${details[name]}`;
  return key;
}

/** A failed check denies the request, unless the caller has left the bus. */
function failedCheck(request: AuthorizationRequest, error: unknown): ServiceError {
  if (isServiceError(error, 'Cancelled')) return error;
  const unavailable = isServiceError(error, 'Unavailable');
  const reason = unavailable ? 'polkit is not available' : 'polkit returned no usable result';
  const message = `${describe(request)} is not allowed: ${reason}`;
  return new ServiceError('AccessDenied', message, { cause: error });
}

function denied(request: AuthorizationRequest): ServiceError {
  return new ServiceError('AccessDenied', `${describe(request)} is not allowed`);
}

function interactionRequired(request: AuthorizationRequest): ServiceError {
  return new ServiceError(
    'InteractiveAuthorizationRequired',
    `${describe(request)} needs a person's consent, which the caller did not permit to ask for`,
  );
}

/** `org.iotedge.keys1.sign (key_id=device-id)`. */
function describe({ action, details }: AuthorizationRequest): string {
  const shown = Object.entries(details).filter(([, value]) => value !== '' && value !== 'false');
  if (shown.length === 0) return action;
  return `${action} (${shown.map(([name, value]) => `${name}=${value.slice(0, 160)}`).join(', ')})`;
}
