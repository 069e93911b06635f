import { randomBytes } from 'node:crypto';
import { connect, createServer, type Socket } from 'node:net';
import pkcs11js, { type PKCS11 } from 'pkcs11js';
import { Dispatcher } from '../../../src/keys/pkcs11/host/dispatch.ts';
import { handlersOf } from '../../../src/keys/pkcs11/host/handlers.ts';
import { Pkcs11Library as HostedLibrary } from '../../../src/keys/pkcs11/host/library.ts';
import { Pools } from '../../../src/keys/pkcs11/host/pools.ts';
import type { Host } from '../../../src/keys/pkcs11/library/host-program.ts';
import { Pkcs11Library } from '../../../src/keys/pkcs11/library/library.ts';
import { FrameSplitter } from '../../../src/keys/pkcs11/protocol/frames.ts';
import { decodeRequest } from '../../../src/keys/pkcs11/protocol/messages.ts';

interface Hooks {
  before: ((operation: number) => Promise<void> | undefined) | undefined;
}

const loaded = new Map<string, PKCS11>();

/** Records the functions of each library that is loaded in this process. */
class RecordedFunctions extends pkcs11js.PKCS11 {
  override load(path: string): void {
    super.load(path);
    loaded.set(path, this);
  }
}

/** A library that is served in this process, so that tests can replace its functions. */
export class InProcessLibrary extends Pkcs11Library {
  readonly #hooks: Hooks;

  constructor(path: string) {
    const hooks: Hooks = { before: undefined };
    super(path, () => startHost(hooks));
    this.#hooks = hooks;
  }

  /** Holds up requests: each one begins when what the hook returns has resolved. */
  set before(hook: Hooks['before']) {
    this.#hooks.before = hook;
  }

  /** The functions of the library, which must be ready. */
  get api(): PKCS11 {
    const api = loaded.get(this.path);
    if (api === undefined) throw new Error(`${this.path} is not loaded`);
    return api;
  }
}

/** Serves a library on one end of a socket pair, as its process does. */
function startHost(hooks: Hooks): Host {
  pkcs11js.PKCS11 = RecordedFunctions;
  const path = `\0iotedge-host-${randomBytes(8).toString('hex')}`;
  const server = createServer().listen(path);
  const socket = connect(path);
  const ended = new Promise<string>((resolve) => {
    server.once('connection', (peer) => {
      server.close();
      serve(peer, hooks, () => resolve('exited with code 0'));
    });
  });
  return { socket, ended, kill: () => void socket.destroy() };
}

function serve(peer: Socket, hooks: Hooks, ended: () => void): void {
  const library = new HostedLibrary({ returned: () => undefined, stuck: () => undefined });
  const pools = new Pools(() => undefined);
  const dispatcher = new Dispatcher(handlersOf(library, pools));
  const splitter = new FrameSplitter((frame) => {
    // a request that is held up is read later, when its frame is wiped
    const { id, operation, reader } = decodeRequest(hooks.before ? Buffer.from(frame) : frame);
    const write = (bytes: Buffer): void => void peer.write(bytes, () => bytes.fill(0));
    const reply = (): Buffer | Promise<Buffer> => dispatcher.get(operation).reply(id, reader);
    const held = hooks.before?.(operation);
    void (held === undefined ? Promise.resolve(reply()) : held.then(reply)).then(write);
  });
  peer.on('data', (chunk) => splitter.push(chunk));
  peer.on('error', () => undefined);
  peer.on('close', () => {
    library.finalize();
    ended();
  });
}
