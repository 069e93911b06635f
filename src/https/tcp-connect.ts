import { lookup as systemLookup } from 'node:dns/promises';
import { connect, isIPv6, type Socket } from 'node:net';
import { HttpsFailure } from './https-failure.ts';

/** One address of a host. */
export interface HostAddress {
  readonly address: string;
  readonly family: number;
}

/** Resolves the name of a host to all its addresses. */
export type HostLookup = (host: string) => Promise<readonly HostAddress[]>;

/** Options of a connection. */
export interface TcpOptions {
  /** Limit for the connection, name resolution included. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Notified of the attempts so far, such as `[::1]:443 ECONNREFUSED, 10.0.0.1:443 no response`. */
  readonly onTried?: ((tried: string) => void) | undefined;
  readonly lookup?: HostLookup | undefined;
}

/** The delay before the next address is tried in parallel (RFC 8305, 8). */
const staggerMs = 250;
/** Each address gets at least this much of a longer deadline. */
const addressMs = 10_000;
const maxAddresses = 16;

/** All addresses of a host, from the system's resolver. */
export function resolveHost(host: string): Promise<readonly HostAddress[]> {
  return systemLookup(host, { all: true, verbatim: true });
}

/**
 * Connects to the first address of a host that accepts. The next address is tried at once when one refuses, and after a
 * quarter of a second when one is silent; all attempts continue until one is connected. Rejects with the error of the
 * name resolution, or with an `HttpsFailure` that lists every address.
 */
export async function connectTcp(
  { host, port }: { readonly host: string; readonly port: number },
  { timeoutMs, signal, onTried = () => undefined, lookup = resolveHost }: TcpOptions,
): Promise<Socket> {
  const startedAt = performance.now();
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(withCode('ABORT_ERR', 'aborted'));
  const timer = setTimeout(() => {
    stop.abort(withCode('ETIMEDOUT', 'no response in time'));
  }, timeoutMs);
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  try {
    onTried(`the name ${host} is not resolved`);
    const addresses = inOrder(await beforeEnd(lookup(host), stop.signal));
    const spareMs = Math.max(0, timeoutMs - (performance.now() - startedAt) - addressMs);
    const pauseMs = Math.min(staggerMs, spareMs / addresses.length);
    return await new AddressRace({ addresses, port, pauseMs, onTried }).run(stop.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

/** Alternates the families, beginning with that of the first address, without duplicates. */
function inOrder(found: readonly HostAddress[]): readonly string[] {
  const first = found.filter(({ family }) => family === found[0]?.family);
  const second = found.filter(({ family }) => family !== found[0]?.family);
  const longer = Math.max(first.length, second.length);
  const mixed = Array.from({ length: longer }, (_, at) => [first[at], second[at]]).flat();
  const addresses = mixed.flatMap((one) => (one === undefined ? [] : [one.address]));
  return [...new Set(addresses)].slice(0, maxAddresses);
}

async function beforeEnd<T>(promise: Promise<T>, end: AbortSignal): Promise<T> {
  let onEnd = (): void => undefined;
  const ended = new Promise<never>((_, reject) => {
    onEnd = () => reject(asError(end.reason));
    end.addEventListener('abort', onEnd, { once: true });
    if (end.aborted) onEnd();
  });
  try {
    return await Promise.race([promise, ended]);
  } finally {
    end.removeEventListener('abort', onEnd);
  }
}

function withCode(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code });
}

function asError(reason: unknown): NodeJS.ErrnoException {
  return reason instanceof Error ? reason : new Error('aborted');
}

interface Attempt {
  readonly address: string;
  readonly socket: Socket;
  /** The code of its failure, or `connected`. */
  outcome: string;
}

const noResponse = 'no response';
/** Codes of a family or network that is unreachable from here: another address's code explains more. */
const noRoute: ReadonlySet<string> = new Set(['ENETUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT']);

class AddressRace {
  readonly #addresses: readonly string[];
  readonly #port: number;
  readonly #pauseMs: number;
  readonly #onTried: (tried: string) => void;
  readonly #attempts: Attempt[] = [];
  #next: NodeJS.Timeout | undefined;
  #settle: ((outcome: Socket | Error) => void) | undefined;

  constructor(options: {
    readonly addresses: readonly string[];
    readonly port: number;
    readonly pauseMs: number;
    readonly onTried: (tried: string) => void;
  }) {
    this.#addresses = options.addresses;
    this.#port = options.port;
    this.#pauseMs = options.pauseMs;
    this.#onTried = options.onTried;
  }

  async run(end: AbortSignal): Promise<Socket> {
    const onEnd = (): void => this.#finish(this.#failure(asError(end.reason)));
    try {
      return await new Promise<Socket>((resolve, reject) => {
        this.#settle = (outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome));
        end.addEventListener('abort', onEnd, { once: true });
        if (end.aborted) onEnd();
        else this.#tryNext();
      });
    } finally {
      end.removeEventListener('abort', onEnd);
    }
  }

  #tryNext(): void {
    clearTimeout(this.#next);
    const address = this.#addresses[this.#attempts.length];
    if (address !== undefined) {
      this.#attempts.push(this.#begin(address));
      this.#next = setTimeout(() => this.#tryNext(), this.#pauseMs);
    }
    this.#report();
    if (this.#attempts.every(({ outcome }) => outcome !== noResponse)) {
      this.#finish(this.#failure(undefined));
    }
  }

  #begin(address: string): Attempt {
    const socket = connect({ host: address, port: this.#port, autoSelectFamily: false });
    const attempt: Attempt = { address, socket, outcome: noResponse };
    socket.once('connect', () => {
      attempt.outcome = 'connected';
      this.#report();
      this.#finish(socket);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (attempt.outcome !== noResponse) return; // its new owner listens too
      attempt.outcome = error.code ?? 'UNKNOWN';
      this.#tryNext();
    });
    return attempt;
  }

  #report(): void {
    this.#onTried(this.#tried());
  }

  #tried(): string {
    return this.#attempts
      .map(({ address, outcome }) => `${authority(address, this.#port)} ${outcome}`)
      .join(', ');
  }

  #failure(ended: NodeJS.ErrnoException | undefined): HttpsFailure {
    const codes = this.#attempts.map(({ outcome }) => outcome);
    const code = codes.find((one) => !noRoute.has(one)) ?? codes[0] ?? 'ENOTFOUND';
    return new HttpsFailure('connection', ended?.code ?? code, this.#tried());
  }

  #finish(outcome: Socket | Error): void {
    if (this.#settle === undefined) return;
    clearTimeout(this.#next);
    this.#settle(outcome);
    this.#settle = undefined;
    for (const { socket } of this.#attempts) if (socket !== outcome) socket.destroy();
  }
}

/** `address:port`, with brackets where the address has colons. */
export function authority(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
