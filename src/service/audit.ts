/**
 * What callers asked for and were answered, for the journal: the first time at once, repeats as a count, so
 * that neither a busy client nor a hostile one fills the journal.
 */
import { readFileSync } from 'node:fs';
import type { CallContext, Question, ServeObserver } from '../dbus/serve.ts';
import { describeError, isServiceError } from '../errors.ts';
import type { Fields, Log } from './log.ts';

/** What the audit writes to and when it counts. */
export interface AuditOptions {
  readonly log: Log;
  readonly repeatMs?: number;
}

type Level = 'info' | 'warn' | 'error';

interface Entry {
  readonly level: Level;
  readonly message: string;
  readonly uid: number | undefined;
  readonly fields: Fields;
  repeats: number;
}

const MAX_ENTRIES = 4096;
const MAX_ENTRIES_PER_UID = 256;
/** A reason may quote what the caller sent, and is kept for as long as it is repeated. */
const MAX_REASON_LENGTH = 1024;
const ID_DETAILS = ['key_id', 'certificate_id', 'module_id', 'module'];

/** Writes decisions and failures to the log. */
export class Audit implements ServeObserver, Disposable {
  readonly #log: Log;
  readonly #repeatMs: number;
  readonly #entries = new Map<string, Entry>();
  readonly #entriesByUid = new Map<number | undefined, number>();
  /** Refusals, which have a record of their own when the call fails of them. */
  readonly #refusals = new WeakSet<object>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ log, repeatMs = 10_000 }: AuditOptions) {
    this.#log = log;
    this.#repeatMs = repeatMs;
  }

  decided(call: CallContext, question: Question, error: unknown): void {
    if (typeof error === 'object' && error !== null) this.#refusals.add(error);
    const verdict = verdictOf(error);
    const id = idOf(question);
    const key = `${call.caller.uid} ${question.action} ${id} ${verdict}`;
    const known = this.#entries.get(key);
    if (known !== undefined) {
      known.repeats++;
      return;
    }
    const fields = { ...describeDecision(call, question), id, verdict, ...reasonOf(error) };
    // Whoever would have decided failed to; the machine's administrator should know.
    const broken = verdict === 'denied' && error instanceof Error && error.cause !== undefined;
    const level = broken ? 'warn' : 'info';
    this.#first(key, {
      level,
      message: 'decided',
      uid: call.caller.uid,
      fields,
      repeats: 0,
    });
  }

  failed(call: CallContext | undefined, message: string, error: unknown): void {
    if (typeof error === 'object' && error !== null && this.#refusals.has(error)) return;
    const code = isServiceError(error) ? error.code : 'Failed';
    const uid = call?.caller.uid;
    const key = `${uid} ${message} ${code}`;
    const known = this.#entries.get(key);
    if (known !== undefined) {
      known.repeats++;
      return;
    }
    const fields = { ...(call && describeCall(call)), call: message, code, ...reasonOf(error) };
    const level = code === 'Failed' ? 'error' : 'info';
    this.#first(key, { level, message: 'call failed', uid, fields, repeats: 0 });
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#report();
    this.#forgetAll();
  }

  #first(key: string, entry: Entry): void {
    const ofUid = this.#entriesByUid.get(entry.uid) ?? 0;
    if (ofUid >= MAX_ENTRIES_PER_UID || this.#entries.size >= MAX_ENTRIES) {
      this.#overflow(entry);
      return;
    }
    this.#entriesByUid.set(entry.uid, ofUid + 1);
    this.#entries.set(key, entry);
    this.#log[entry.level](entry.message, entry.fields);
    this.#timer ??= setInterval(() => this.#report(), this.#repeatMs).unref();
  }

  /** More kinds of records than anyone will read: they share one entry of their level. */
  #overflow({ level, message, uid }: Entry): void {
    const key = `more ${uid} ${level}`;
    const shared = this.#entries.get(key);
    if (shared !== undefined) shared.repeats++;
    else if (this.#entries.size < 2 * MAX_ENTRIES) {
      this.#entries.set(key, { level, message, uid, fields: { uid, others: true }, repeats: 1 });
    }
  }

  /** Writes the repeats since the last time, and forgets what was not repeated. */
  #report(): void {
    for (const [key, entry] of this.#entries) {
      if (entry.repeats === 0) this.#forget(key, entry);
      else this.#log[entry.level](entry.message, { ...entry.fields, repeats: entry.repeats });
      entry.repeats = 0;
    }
    if (this.#entries.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #forget(key: string, entry: Entry): void {
    this.#entries.delete(key);
    if (key.startsWith('more ')) return;
    const left = (this.#entriesByUid.get(entry.uid) ?? 1) - 1;
    if (left > 0) this.#entriesByUid.set(entry.uid, left);
    else this.#entriesByUid.delete(entry.uid);
  }

  #forgetAll(): void {
    this.#entries.clear();
    this.#entriesByUid.clear();
  }
}

function verdictOf(error: unknown): 'allowed' | 'denied' | 'abandoned' {
  if (error === undefined) return 'allowed';
  return isServiceError(error, 'Cancelled') ? 'abandoned' : 'denied';
}

function idOf({ details }: Question): string {
  for (const name of ID_DETAILS) {
    const id = details[name];
    if (id !== undefined && id !== '') return id;
  }
  return '';
}

function describeDecision(call: CallContext, { action, details }: Question): Fields {
  const shown = Object.entries(details).flatMap(([name, value]) =>
    value === '' || ID_DETAILS.includes(name) ? [] : [`${name}:${value}`],
  );
  return { ...describeCall(call), action, details: shown.length > 0 ? shown : undefined };
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

function reasonOf(error: unknown): Fields {
  if (error === undefined) return {};
  const unexpected = error instanceof Error && !isServiceError(error);
  const reason = describeError(error).slice(0, MAX_REASON_LENGTH);
  return { reason, stack: unexpected ? error.stack : undefined };
}

/** The systemd unit that a process seems to be in. A hint: the pid may be another process's by now. */
function unitOf(pid: number): string | undefined {
  try {
    const groups = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
    return /\/([^/\n]+\.(?:service|scope))$/m.exec(groups)?.[1];
  } catch {
    // It is gone, or hidden from us.
    return undefined;
  }
}
