import { join } from 'node:path';
import { describeError } from '../../errors.ts';
import type { Log } from '../log/log.ts';
import { fileNameOf, idOfFileName } from '../state/file-name.ts';
import type { StateDisk } from '../state/state-disk.ts';
import {
  deleteStateFile,
  formatStateJson,
  openStateDirectory,
  readStateJson,
  writeStateJson,
} from '../state/state-file.ts';

/** An operation that was accepted and has not ended. */
export interface PendingOperation {
  readonly id: string;
  readonly verb: string;
  /** As it was saved; the kind that resumes it parses it. */
  readonly args: unknown;
}

const extension = '.json';
/** File name of the empty id; no other id yields it. */
const unnamed = '@self.json';

/** How operations are persisted on a full disk. */
export interface FullDiskOptions {
  readonly disk: Pick<StateDisk, 'write'>;
  /** The verbs of operations that free space. */
  readonly frees: ReadonlySet<string>;
}

/** The persisted pending operations, one file for each id. */
export class PendingOperationFiles {
  readonly #directory: string;
  readonly #fullDisk: FullDiskOptions | undefined;
  readonly #unreadable = new Map<string, string>();
  #failure: string | undefined;

  constructor(directory: string, fullDisk?: FullDiskOptions) {
    this.#directory = directory;
    this.#fullDisk = fullDisk;
  }

  /** The problems of the directory, and of unreadable files that have not been replaced since. */
  get problems(): readonly string[] {
    return [...(this.#failure === undefined ? [] : [this.#failure]), ...this.#unreadable.values()];
  }

  /**
   * Returns the unfinished operations and creates the directory. A file that cannot be read is logged and left in
   * place, as its operation is unknown.
   */
  async readAll(log: Log): Promise<readonly PendingOperation[]> {
    const operations: PendingOperation[] = [];
    const { names, failure } = await openStateDirectory(this.#directory);
    this.#failure = failure?.message;
    if (failure !== undefined)
      log.error('pending operations unreadable', { error: describeError(failure) });
    for (const name of names) {
      const id = name === unnamed ? '' : idOfFileName(name, extension);
      if (id === undefined) continue;
      try {
        const operation = await readStateJson(join(this.#directory, name), (value) =>
          parseOperation(id, value),
        );
        if (operation !== undefined) operations.push(operation);
      } catch (error) {
        this.#unreadable.set(id, describeError(error));
        log.error('pending operation unreadable', { id, error: describeError(error) });
      }
    }
    return operations;
  }

  async save({ id, verb, args }: PendingOperation): Promise<void> {
    const fields = { verb, args };
    const { disk, frees } = this.#fullDisk ?? {};
    if (disk === undefined || frees?.has(verb) !== true) {
      await writeStateJson(this.#fileOf(id), fields);
    } else await disk.write(this.#fileOf(id), formatStateJson(fields));
    this.#clearProblems(id);
  }

  async delete(id: string): Promise<void> {
    await deleteStateFile(this.#fileOf(id));
    this.#clearProblems(id);
  }

  #clearProblems(id: string): void {
    this.#failure = undefined;
    this.#unreadable.delete(id);
  }

  #fileOf(id: string): string {
    return join(this.#directory, id === '' ? unnamed : fileNameOf(id, extension));
  }
}

function parseOperation(id: string, value: unknown): PendingOperation {
  if (typeof value !== 'object' || value === null) throw new TypeError('it is not an object');
  const members = new Map<string, unknown>(Object.entries(value));
  const verb = members.get('verb');
  if (typeof verb !== 'string') throw new TypeError('it has no verb');
  return { id, verb, args: members.get('args') };
}
