import type { Bus, CallOptions } from '../../dbus/bus.ts';
import type { AuthorizationRequest } from '../../dbus/server/authorization-gate.ts';
import { variant } from '../../dbus/wire/variant.ts';
import { BusError } from '../../dbus/wire/wire-errors.ts';
import { ServiceError } from '../../errors.ts';

/** The result of a check: yes or no, a yes that must not be reused, or that a user must be prompted. */
export type PolkitResult = 'yes' | 'yes-once' | 'no' | 'challenge';

/** Options of a check. */
export interface CheckOptions {
  readonly interactive: boolean;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Client of polkit's authority. */
export interface PolkitClient {
  /** Runs a check; rejects when polkit is missing, does not reply or sends a malformed reply. */
  check(
    request: AuthorizationRequest,
    sender: string,
    options: CheckOptions,
  ): Promise<PolkitResult>;
  /** Notifies when rules, actions or polkit itself changed; a caller that caches results calls it before any check. */
  watch(onChange: () => void): Promise<void>;
}

const name = 'org.freedesktop.PolicyKit1';
const authority = {
  destination: name,
  path: '/org/freedesktop/PolicyKit1/Authority',
  interface: 'org.freedesktop.PolicyKit1.Authority',
} as const;
const allowUserInteraction = 1;

/** Client of polkit on the bus. */
export class BusPolkitClient implements PolkitClient {
  readonly #bus: Bus;
  #ownerChanges = 0;
  #cancellations = 0;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  async watch(onChange: () => void): Promise<void> {
    const driver = 'org.freedesktop.DBus';
    const ownerChanged = {
      sender: driver,
      interface: driver,
      member: 'NameOwnerChanged',
      arg0: name,
    };
    await this.#bus.subscribe(ownerChanged, () => {
      this.#ownerChanges++;
      onChange();
    });
    const { path, interface: interfaceName } = authority;
    const changed = { sender: name, path, interface: interfaceName, member: 'Changed' };
    await this.#bus.subscribe(changed, onChange);
  }

  async check(
    request: AuthorizationRequest,
    sender: string,
    options: CheckOptions,
  ): Promise<PolkitResult> {
    const changes = this.#ownerChanges;
    try {
      return await this.#checkOnce(request, sender, options);
    } catch (error) {
      const restarted = changes !== this.#ownerChanges || isLostReply(error);
      if (!restarted || options.signal.aborted) throw error;
      return this.#checkOnce(request, sender, options);
    }
  }

  async #checkOnce(
    request: AuthorizationRequest,
    sender: string,
    options: CheckOptions,
  ): Promise<PolkitResult> {
    const { interactive, signal, timeoutMs } = options;
    const id = interactive ? `iotedge-${++this.#cancellations}` : '';
    const subject = ['system-bus-name', { name: variant('s', sender) }];
    const flags = interactive ? allowUserInteraction : 0;
    const body = [subject, request.action, request.details, flags, id];
    try {
      const signature = '(sa{sv})sa{ss}us';
      const call = { ...authority, member: 'CheckAuthorization', signature, body };
      const [result] = await this.#bus.call(call, { signal, timeoutMs });
      return parseResult(result);
    } catch (error) {
      if (interactive && !(error instanceof BusError)) this.#cancel(id);
      throw error;
    }
  }

  /** Withdraws the prompt. */
  #cancel(id: string): void {
    const call = { ...authority, member: 'CancelCheckAuthorization', signature: 's', body: [id] };
    const options: CallOptions = { timeoutMs: 5000 };
    // the prompt may have ended or polkit stopped by now: either way no prompt is left
    this.#bus.call({ ...call, noAutoStart: true }, options).catch(() => undefined);
  }
}

/** The bus replies like this on behalf of a process that left before it replied. */
function isLostReply(error: unknown): boolean {
  const cause = error instanceof ServiceError ? error.cause : undefined;
  return cause instanceof BusError && cause.errorName === 'org.freedesktop.DBus.Error.NoReply';
}

function parseResult(result: unknown): PolkitResult {
  const fields: readonly unknown[] = Array.isArray(result) ? result : [];
  const [authorized, challenge, details] = fields;
  const formed = typeof authorized === 'boolean' && typeof challenge === 'boolean';
  if (!formed || typeof details !== 'object' || details === null) {
    throw new TypeError('the result of polkit is not of the form (bba{ss})');
  }
  if (authorized && challenge) {
    throw new TypeError('the result of polkit is both a yes and a challenge');
  }
  if (challenge) return 'challenge';
  if (!authorized) return 'no';
  // a yes left by an earlier authentication: polkit revokes it without a signal
  return Object.hasOwn(details, 'polkit.temporary_authorization_id') ? 'yes-once' : 'yes';
}
