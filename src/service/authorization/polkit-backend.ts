/**
 * Decisions by polkit. A question goes one of these ways:
 *
 *   verdict kept ─────────────────────────────► yes / no, at once
 *   plain question ──► yes / no ──────────────► kept for a while
 *        └──► challenge ──► not interactive ──► InteractiveAuthorizationRequired
 *                  └──► interactive question ─► yes / no, used once
 *
 * Everything that goes wrong on the way is a no.
 */
import type { AuthorizationRequest, CallContext } from '../../dbus/server/serve.ts';
import { isServiceError, ServiceError } from '../../errors.ts';
import type { AuthorizationBackend } from './authorization.ts';
import { questionLimits, Turns } from './fair-limiter.ts';
import type { CheckOptions, PolkitAnswer, PolkitAuthority } from './polkit-client.ts';
import { VerdictCache, type VerdictLifetimes } from './verdict-cache.ts';

/** What the backend is made of. */
export interface PolkitBackendOptions {
  readonly authority: PolkitAuthority;
  readonly lifetimes: VerdictLifetimes;
  /** Milliseconds that never go back. */
  readonly clock?: () => number;
}

// polkit 122 can stand still for 15 s (fixed upstream in 123 by commit 5615ed0).
const PLAIN_TIMEOUT_MS = 20_000;
const INTERACTIVE_TIMEOUT_MS = 300_000;

/** Asks polkit, as rarely as the design allows. */
export class PolkitBackend implements AuthorizationBackend {
  readonly #authority: PolkitAuthority;
  readonly #cache: VerdictCache;
  readonly #clock: () => number;
  readonly #turns = new Turns(questionLimits);
  /** Plain questions under way, which every call with the same question waits for that came in their generation. */
  readonly #plain = new Map<string, Promise<PolkitAnswer>>();
  /** People being asked, with the generation in which polkit said that one must be. */
  readonly #prompts = new Map<string, number>();
  #watching: Promise<void> | undefined;

  constructor({ authority, lifetimes, clock = () => performance.now() }: PolkitBackendOptions) {
    this.#authority = authority;
    this.#cache = new VerdictCache(lifetimes);
    this.#clock = clock;
  }

  decide(request: AuthorizationRequest, call: CallContext): Promise<void> | undefined {
    const key = keyOf(request, call.caller.sender);
    const kept = this.#cache.get(key, this.#clock());
    if (kept === true) return undefined;
    if (kept === false) throw denied(request);
    return this.#ask(request, call, key);
  }

  /** Keeps verdicts for other times from now on, and none that came before, answers under way included. */
  renew(lifetimes: VerdictLifetimes): void {
    this.#cache.lifetimes = lifetimes;
    this.#cache.dropAll();
  }

  forget(sender: string): void {
    this.#cache.dropSender(sender);
  }

  async #ask(request: AuthorizationRequest, call: CallContext, key: string): Promise<void> {
    const prompted = this.#prompts.get(key) === this.#cache.generation;
    let answer = prompted ? 'challenge' : await this.#askPlainly(request, call, key);
    if (answer === 'challenge') {
      if (!call.interactive) throw interactionRequired(request);
      answer = await this.#askInteractively(request, call, key);
    }
    if (call.signal.aborted) throw new ServiceError('Cancelled', 'the caller left');
    if (answer !== 'yes' && answer !== 'yes-once') throw denied(request);
  }

  #askPlainly(
    request: AuthorizationRequest,
    call: CallContext,
    key: string,
  ): Promise<PolkitAnswer> {
    const shared = `${this.#cache.generation}\0${key}`;
    let answer = this.#plain.get(shared);
    if (answer === undefined) {
      answer = this.#checkPlainly(request, call, key).finally(() => this.#plain.delete(shared));
      this.#plain.set(shared, answer);
    }
    return answer;
  }

  async #checkPlainly(
    request: AuthorizationRequest,
    call: CallContext,
    key: string,
  ): Promise<PolkitAnswer> {
    const { signal, caller } = call;
    return this.#turns.run({ uid: caller.uid, slow: false, signal }, async () => {
      await this.#watch(request);
      const askedAt = this.#clock();
      const { generation } = this.#cache;
      const answer = await this.#check(request, caller.sender, {
        interactive: false,
        timeoutMs: PLAIN_TIMEOUT_MS,
        signal,
      });
      const plain = answer === 'yes' || answer === 'no';
      if (plain && !signal.aborted) {
        const allowed = answer === 'yes';
        this.#cache.keep(key, caller.sender, { allowed, askedAt, generation });
      }
      return answer;
    });
  }

  #askInteractively(
    request: AuthorizationRequest,
    call: CallContext,
    key: string,
  ): Promise<PolkitAnswer> {
    const { signal, caller } = call;
    return this.#turns.run({ uid: caller.uid, slow: true, signal }, async () => {
      this.#prompts.set(key, this.#cache.generation);
      try {
        return await this.#check(request, caller.sender, {
          interactive: true,
          timeoutMs: INTERACTIVE_TIMEOUT_MS,
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
  ): Promise<PolkitAnswer> {
    try {
      return await this.#authority.check(request, sender, options);
    } catch (error) {
      throw unanswered(request, error);
    }
  }

  /** Answers may be kept only by one who hears when they become wrong. */
  async #watch(request: AuthorizationRequest): Promise<void> {
    this.#watching ??= this.#authority.watch(() => this.#cache.dropAll());
    try {
      await this.#watching;
    } catch (error) {
      this.#watching = undefined;
      throw unanswered(request, error);
    }
  }
}

/** No text on the bus contains a NUL, so no two questions have the same key. */
function keyOf({ action, details }: AuthorizationRequest, sender: string): string {
  let key = `${sender}\0${action}`;
  for (const name in details) key += `\0${name}\0${details[name]}`;
  return key;
}

/** What went wrong while asking is a no, unless the caller is not there to hear it. */
function unanswered(request: AuthorizationRequest, error: unknown): ServiceError {
  if (isServiceError(error, 'Cancelled')) return error;
  const unavailable = isServiceError(error, 'Unavailable');
  const reason = unavailable ? 'polkit is not available' : 'polkit gave no usable answer';
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
