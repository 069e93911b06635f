/**
 * Requests and their outcomes for the journal: the first occurrence at once, repeats as a count, so
 * that neither a busy client nor a hostile one fills the journal.
 */
import { readFileSync } from 'node:fs';
import type { AuthorizationRequest } from '../../dbus/server/authorization-gate.ts';
import type { CallContext } from '../../dbus/server/call.ts';
import type { Caller } from '../../dbus/server/caller.ts';
import type { ServeObserver } from '../../dbus/server/serve-options.ts';
import { describeError, isServiceError, type ServiceError } from '../../errors.ts';
import { shown } from '../../quoted.ts';
import type { Log } from '../log/log.ts';
import type { Fields } from '../log/log-record.ts';
import { Repeats, type RepeatsOptions } from '../log/repeats.ts';

/** A reason may quote the caller's input, and is held in memory for as long as it is repeated. */
const maxReasonLength = 1024;
/** A defect of a definition, and of the reference generated from it: tests fail when a service logs it. */
export const undeclaredMessage = 'a method failed with an error that its definition does not list';
const idDetails = ['key_id', 'certificate_id', 'module_id', 'module'];

/** Writes decisions and failures to the log. */
export class Audit implements ServeObserver, Disposable {
  readonly #log: Log;
  readonly #repeats: Repeats;
  /** Refusals, which get their own record when the call fails because of them. */
  readonly #refusals = new WeakSet<object>();

  constructor(options: RepeatsOptions) {
    this.#log = options.log;
    this.#repeats = new Repeats(options);
  }

  /** Logs every call at debug level, so that a request id can be found in each service that serves it. */
  onCall(call: CallContext): void {
    if (this.#log.writesDebug !== true) return;
    this.#log.debug('call received', describeCall(call));
  }

  onDecision(call: CallContext, request: AuthorizationRequest, error: unknown): void {
    if (typeof error === 'object' && error !== null) this.#refusals.add(error);
    const { uid } = call.caller;
    const verdict = verdictOf(error);
    const id = idOf(request);
    // the backend failed to decide: the machine's administrator should know
    const broken = verdict === 'denied' && error instanceof Error && error.cause !== undefined;
    this.#repeats.note(`decided ${uid} ${request.action} ${id} ${verdict}`, {
      level: broken ? 'warn' : 'info',
      message: 'authorization decision',
      cause: ['uid', uid],
      fields: () => ({ ...describeDecision(call, request), id, verdict, ...reasonOf(error) }),
    });
  }

  onFailure(call: CallContext | undefined, message: string, error: unknown): void {
    if (typeof error === 'object' && error !== null && this.#refusals.has(error)) return;
    const code = isServiceError(error) ? error.code : 'Failed';
    const uid = call?.caller.uid;
    const { reason, stack } = reasonOf(error);
    this.#repeats.note(`failed ${uid} ${message} ${code} ${reason}`, {
      level: code === 'Failed' ? 'error' : 'info',
      message: 'call failed',
      cause: ['uid', uid],
      fields: () => ({
        ...(call && describeCall(call)),
        call: message,
        code,
        reason,
        stack,
      }),
    });
  }

  /** Logs a call that failed without any reply to its caller. */
  onLostCall(message: string, caller: Caller | undefined): void {
    const uid = caller?.uid;
    this.#repeats.note(`lost ${uid} ${message}`, {
      level: 'warn',
      message: 'call lost',
      cause: ['uid', uid],
      fields: () => ({
        uid,
        pid: caller?.pid,
        call: message,
        reason: 'its caller wanted no reply and left before its turn',
      }),
    });
  }

  onUndeclared(call: CallContext, error: ServiceError): void {
    this.#repeats.note(`undeclared ${call.member} ${error.code}`, {
      level: 'error',
      message: undeclaredMessage,
      cause: ['uid', call.caller.uid],
      fields: () => ({ ...describeCall(call), code: error.code, ...reasonOf(error) }),
    });
  }

  [Symbol.dispose](): void {
    this.#repeats[Symbol.dispose]();
  }
}

function verdictOf(error: unknown): 'allowed' | 'denied' | 'abandoned' {
  if (error === undefined) return 'allowed';
  return isServiceError(error, 'Cancelled') ? 'abandoned' : 'denied';
}

function idOf({ details }: AuthorizationRequest): string {
  for (const name of idDetails) {
    const id = details[name];
    if (id !== undefined && id !== '') return id;
  }
  return '';
}

function describeDecision(call: CallContext, { action, details }: AuthorizationRequest): Fields {
  const others = Object.entries(details).flatMap(([name, value]) =>
    value === '' || idDetails.includes(name) ? [] : [`${name}:${shown(value)}`],
  );
  return { ...describeCall(call), action, details: others.length > 0 ? others : undefined };
}

function describeCall(call: CallContext): Fields {
  const { uid, pid } = call.caller;
  return {
    uid,
    pid,
    unit: pid === undefined ? undefined : unitOf(pid),
    member: call.member,
    requestId: call.requestId,
    durationMs: Math.round(performance.now() - call.startedAt),
  };
}

function reasonOf(error: unknown): {
  readonly reason?: string;
  readonly stack?: string | undefined;
} {
  if (error === undefined) return {};
  const unexpected = error instanceof Error && !isServiceError(error);
  const reason = describeError(error).slice(0, maxReasonLength);
  return { reason, stack: unexpected ? error.stack : undefined };
}

/** The systemd unit that a process seems to belong to. Only a hint: the pid may have been reused. */
function unitOf(pid: number): string | undefined {
  try {
    const groups = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
    return /\/([^/\n]+\.(?:service|scope))$/m.exec(groups)?.[1];
  } catch {
    // the process has ended, or is hidden from this one
    return undefined;
  }
}
