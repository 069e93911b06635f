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
export interface SavedIntent {
  readonly id: string;
  readonly verb: string;
  /** As it was saved; the kind that resumes it parses it. */
  readonly args: unknown;
}

const extension = '.json';
/** Stands for the empty id: no id begins like this. */
const unnamed = '@self.json';

/** How intents are persisted on a full disk. */
export interface IntentsInNeed {
  readonly disk: Pick<StateDisk, 'write'>;
  /** The verbs of operations that free space. */
  readonly frees: ReadonlySet<string>;
}

/** The intents of operations, one file for each id. */
export class IntentFiles {
  readonly #directory: string;
  readonly #need: IntentsInNeed | undefined;
  readonly #unreadable = new Map<string, string>();
  #failure: string | undefined;

  constructor(directory: string, need?: IntentsInNeed) {
    this.#directory = directory;
    this.#need = need;
  }

  /** The problems of the directory, and of unreadable files that have not been replaced since. */
  get problems(): readonly string[] {
    return [...(this.#failure === undefined ? [] : [this.#failure]), ...this.#unreadable.values()];
  }

  /**
   * Returns the unfinished operations and creates the directory. A file that cannot be read is logged and left in
   * place: its request is unknown.
   */
  async readAll(log: Log): Promise<readonly SavedIntent[]> {
    const intents: SavedIntent[] = [];
    const { names, failure } = await openStateDirectory(this.#directory);
    this.#failure = failure?.message;
    if (failure !== undefined)
      log.error('pending operations unreadable', { error: describeError(failure) });
    for (const name of names) {
      const id = name === unnamed ? '' : idOfFileName(name, extension);
      if (id === undefined) continue;
      try {
        const intent = await readStateJson(join(this.#directory, name), (value) =>
          parseIntent(id, value),
        );
        if (intent !== undefined) intents.push(intent);
      } catch (error) {
        this.#unreadable.set(id, describeError(error));
        log.error('pending operation unreadable', { id, error: describeError(error) });
      }
    }
    return intents;
  }

  async save({ id, verb, args }: SavedIntent): Promise<void> {
    const fields = { verb, args };
    const { disk, frees } = this.#need ?? {};
    if (disk === undefined || frees?.has(verb) !== true) {
      await writeStateJson(this.#fileOf(id), fields);
    } else await disk.write(this.#fileOf(id), formatStateJson(fields));
    this.#works(id);
  }

  async delete(id: string): Promise<void> {
    await deleteStateFile(this.#fileOf(id));
    this.#works(id);
  }

  #works(id: string): void {
    this.#failure = undefined;
    this.#unreadable.delete(id);
  }

  #fileOf(id: string): string {
    return join(this.#directory, id === '' ? unnamed : fileNameOf(id, extension));
  }
}

function parseIntent(id: string, value: unknown): SavedIntent {
  if (typeof value !== 'object' || value === null) throw new TypeError('it is no object');
  const members = new Map<string, unknown>(Object.entries(value));
  const verb = members.get('verb');
  if (typeof verb !== 'string') throw new TypeError('it has no verb');
  return { id, verb, args: members.get('args') };
}
