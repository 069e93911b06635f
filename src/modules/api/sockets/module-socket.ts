import { posix } from 'node:path';
import type { ModuleName } from '../../../ids.ts';
import { KeyedMutex } from '../../../service/mutex.ts';
import type { ApiPaths } from '../../config/config.ts';
import type { SocketPlace, SocketStore } from '../http/listen.ts';
import { createSocketDirectory, type ServedSocket } from '../http/socket.ts';

const mode = 0o666;

/** Dependencies of the modules' sockets. */
export interface ModuleSocketsParts {
  /** Of the configuration in force. */
  readonly connect: () => ApiPaths;
  readonly socketsPath: string;
  readonly socketStore?: SocketStore;
  readonly serve: (module: ModuleName, place: SocketPlace) => Promise<ServedSocket>;
}

/** The sockets of all modules. */
export class ModuleSockets {
  readonly #parts: ModuleSocketsParts;
  /** Before they are bound, until they are closed. */
  readonly #sockets = new Set<ModuleSocket>();
  /** Of a module that is opened while one of the same name is closed, too. */
  readonly #changes = new KeyedMutex<ModuleName>();

  constructor(parts: ModuleSocketsParts) {
    this.#parts = parts;
  }

  /** Binds the socket of a module. */
  async open(module: ModuleName): Promise<ModuleSocket> {
    const { connect, socketsPath, socketStore: store, serve } = this.#parts;
    const directory = await createSocketDirectory(socketsPath, module);
    const socket = new ModuleSocket({
      directory,
      name: () => posix.basename(connect().workload),
      serve: (name) => serve(module, { directory, name, mode, store }),
      change: (task) => this.#changes.run(module, task),
      onClose: () => this.#sockets.delete(socket),
    });
    // before it is bound: a change of the configuration that `bind` comes too early for is followed by `rebind`
    this.#sockets.add(socket);
    try {
      await socket.bind();
    } catch (error) {
      await socket.remove();
      throw error;
    }
    return socket;
  }

  /** Binds every socket by the name that the configuration in force gives it. Rejects when one cannot be bound. */
  async rebind(): Promise<void> {
    const bound = await Promise.allSettled([...this.#sockets].map((socket) => socket.bind()));
    const failure = bound.find((result) => result.status === 'rejected');
    if (failure !== undefined) throw failure.reason;
  }
}

interface ModuleSocketParts {
  readonly directory: string;
  readonly name: () => string;
  readonly serve: (name: string) => Promise<ServedSocket>;
  /** Runs one change of the module's sockets at a time. */
  readonly change: (task: () => Promise<void>) => Promise<void>;
  readonly onClose: () => void;
}

/** The socket of one module. Its changes run one at a time, and none follows its end. */
export class ModuleSocket implements AsyncDisposable {
  readonly directory: string;
  readonly #parts: ModuleSocketParts;
  #bound: { readonly name: string; readonly socket: ServedSocket } | undefined;
  #isClosed = false;

  constructor(parts: ModuleSocketParts) {
    this.#parts = parts;
    this.directory = parts.directory;
  }

  /** Replaces the socket by one of its current name, unless it has that or is closed. */
  bind(): Promise<void> {
    return this.#parts.change(async () => {
      // not earlier: it may change while another change runs
      const name = this.#parts.name();
      if (this.#isClosed || name === this.#bound?.name) return;
      const before = this.#bound;
      this.#bound = { name, socket: await this.#parts.serve(name) };
      await before?.socket.remove();
    });
  }

  /** Closes it and removes its file, for good. */
  remove(): Promise<void> {
    return this.#close((socket) => socket.remove());
  }

  /** Closes it; its file stays for the next process. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#close(async (socket) => socket[Symbol.asyncDispose]());
  }

  #close(close: (socket: ServedSocket) => Promise<void>): Promise<void> {
    this.#isClosed = true;
    this.#parts.onClose();
    return this.#parts.change(async () => {
      const bound = this.#bound;
      this.#bound = undefined;
      if (bound !== undefined) await close(bound.socket);
    });
  }
}
