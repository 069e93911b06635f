import { Agent, type AgentOptions, type RequestOptions } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContext } from 'node:tls';
import { callbackify } from 'node:util';
import { rememberTopmost } from './peer-chain.ts';
import { connectTcp, type HostLookup, type TcpOptions } from './tcp-connect.ts';

/** A request with the limits of its connection, which is notified of the addresses tried. */
export interface ConnectingRequest extends RequestOptions {
  readonly connecting?: Omit<TcpOptions, 'lookup'>;
  /** The TLS context of a new connection, instead of the agent's. */
  readonly contextOf?: () => SecureContext;
}

type Connected = (error: Error | null, stream: Duplex) => void;

const defaultTimeoutMs = 30_000;

/**
 * Connects TCP by RFC 8305 (Happy Eyeballs), then speaks TLS over it: Node itself loses the TLS session of a host whose
 * first address refuses, and gives each address only a quarter of a second.
 */
export class HappyEyeballsAgent extends Agent {
  protected readonly lookup: HostLookup | undefined;

  constructor(options: AgentOptions, lookup?: HostLookup) {
    super(options);
    this.lookup = lookup;
  }

  override createConnection(options: RequestOptions, callback?: Connected): undefined {
    if (callback === undefined) throw new TypeError('a connection is made asynchronously');
    callbackify(() => this.#connect(options))(callback);
  }

  /** Opens the stream that TLS runs over. */
  protected open({ host, port, connecting }: ConnectingRequest): Promise<Socket> {
    const target = { host: host ?? 'localhost', port: Number(port ?? 443) };
    return this.connectTo(target, connecting);
  }

  protected async connectTo(
    target: { readonly host: string; readonly port: number },
    connecting: ConnectingRequest['connecting'],
  ): Promise<Socket> {
    const limits = { timeoutMs: defaultTimeoutMs, ...connecting, lookup: this.lookup };
    const socket = await connectTcp(target, limits);
    return socket.setNoDelay(true).setKeepAlive(true, 1000);
  }

  async #connect(options: ConnectingRequest): Promise<Duplex> {
    // first: when this throws there is no connection to close
    const secureContext = options.contextOf?.();
    const socket = await this.open(options);
    const own = secureContext === undefined ? { socket } : { socket, secureContext };
    const stream = super.createConnection({ ...options, ...own } as RequestOptions);
    if (stream) return rememberTopmost(stream);
    throw new TypeError('TLS over a stream is made at once');
  }
}
