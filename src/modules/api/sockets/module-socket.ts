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
  /** The module that has a socket of the management API too. */
  readonly agent: () => string | undefined;
  readonly socketsPath: string;
  readonly socketStore?: SocketStore;
  readonly serve: (api: Api, module: ModuleName, place: SocketPlace) => Promise<ServedSocket>;
}

type Api = keyof ApiPaths;

/** The sockets of all modules: each has one of the workload API. */
export class ModuleSockets {
  readonly #parts: ModuleSocketsParts;
  /** Before they are bound, until they are closed. */
  readonly #sockets = new Set<ModuleSocket>();
  /** Of a module that is opened while one of the same name is closed, too. */
  readonly #changes = new KeyedMutex<ModuleName>();

  constructor(parts: ModuleSocketsParts) {
    this.#parts = parts;
  }

  /** Binds the sockets of a module; that of the management API not before `serveManagement`, if it is withheld. */
  async open(module: ModuleName, isWithheld = false): Promise<ModuleSocket> {
    const { agent, connect, socketsPath, socketStore: store, serve } = this.#parts;
    const makeDirectory = () => createSocketDirectory(socketsPath, module);
    const directory = await makeDirectory();
    const socket = new ModuleSocket({
      directory,
      makeDirectory,
      isWithheld,
      names: () => {
        const { workload, management } = connect();
        const isAgent = module === agent();
        return [
          ['workload', posix.basename(workload)],
          ['management', isAgent ? posix.basename(management) : undefined],
        ];
      },
      serve: (api, name) => serve(api, module, { directory, name, mode, store }),
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

/** The file name of each API's socket, undefined for one that is not served. */
type SocketNames = readonly (readonly [Api, string | undefined])[];

interface ModuleSocketParts {
  readonly directory: string;
  /** Makes the directory if it is missing. */
  readonly makeDirectory: () => Promise<unknown>;
  /** Whether the management API is not served yet. */
  readonly isWithheld: boolean;
  readonly names: () => SocketNames;
  readonly serve: (api: Api, name: string) => Promise<ServedSocket>;
  /** Runs one change of the module's sockets at a time. */
  readonly change: (task: () => Promise<void>) => Promise<void>;
  readonly onClose: () => void;
}

/** A socket and the name of its file. */
interface BoundSocket {
  readonly name: string;
  readonly socket: ServedSocket;
}

/** The sockets of one module. Their changes run one at a time, and none follows their end. */
export class ModuleSocket implements AsyncDisposable {
  readonly directory: string;
  readonly #parts: ModuleSocketParts;
  readonly #bound = new Map<Api, BoundSocket>();
  #isClosed = false;
  #isWithheld: boolean;

  constructor(parts: ModuleSocketParts) {
    this.#parts = parts;
    this.#isWithheld = parts.isWithheld;
    this.directory = parts.directory;
  }

  /** Replaces each socket by one of its current name, unless it has that or is closed. */
  bind(): Promise<void> {
    return this.#parts.change(async () => {
      // not earlier: they may change while another change runs
      for (const [api, name] of this.#parts.names()) {
        await this.#bindAs(api, api === 'management' && this.#isWithheld ? undefined : name);
      }
    });
  }

  /** Serves the management API from now on, if the module is the agent. */
  async serveManagement(): Promise<void> {
    if (!this.#isWithheld) return;
    this.#isWithheld = false;
    try {
      await this.bind();
    } catch (error) {
      this.#isWithheld = true; // or the next attempt would count as one that succeeded
      throw error;
    }
  }

  /**
   * Makes those again whose file was removed or replaced, which a container would be given instead. Resolves to their
   * names.
   */
  async restore(): Promise<readonly string[]> {
    const restored: string[] = [];
    await this.#parts.change(async () => {
      for (const [api, { name, socket }] of this.#bound) {
        if (await socket.isInPlace()) continue;
        await this.#parts.makeDirectory();
        this.#bound.set(api, { name, socket: await this.#parts.serve(api, name) });
        restored.push(name);
        await socket[Symbol.asyncDispose]();
      }
    });
    return restored;
  }

  /** Closes them and removes their files, for good. */
  remove(): Promise<void> {
    return this.#close((socket) => socket.remove());
  }

  /** Closes them; their files stay for the next process. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#close(async (socket) => socket[Symbol.asyncDispose]());
  }

  async #bindAs(api: Api, name: string | undefined): Promise<void> {
    const before = this.#bound.get(api);
    if (this.#isClosed || name === before?.name) return;
    this.#bound.delete(api);
    if (name !== undefined) {
      try {
        this.#bound.set(api, { name, socket: await this.#parts.serve(api, name) });
      } catch (error) {
        if (before !== undefined) this.#bound.set(api, before);
        throw error;
      }
    }
    await before?.socket.remove();
  }

  #close(close: (socket: ServedSocket) => Promise<void>): Promise<void> {
    this.#isClosed = true;
    this.#parts.onClose();
    return this.#parts.change(async () => {
      const bound = [...this.#bound.values()];
      this.#bound.clear();
      await Promise.all(bound.map(({ socket }) => close(socket)));
    });
  }
}
