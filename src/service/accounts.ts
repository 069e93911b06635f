import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/** Resolves the name of a user or a group to its id; undefined when it is unknown. */
export interface Accounts {
  uid(name: string): Promise<number | undefined>;
  gid(name: string): Promise<number | undefined>;
}

/** The accounts in this machine's files and of `getent`, each looked up once. A number resolves to itself. */
export class SystemAccounts implements Accounts {
  readonly #files = new Map<string, Promise<string>>();
  readonly #entries = new Map<string, Promise<string>>();
  readonly #usesGetent: boolean;

  /** Without getent no process is started, and names of a directory service stay unknown. */
  constructor(options: { readonly getent: boolean }) {
    this.#usesGetent = options.getent;
  }

  uid(name: string): Promise<number | undefined> {
    return this.#find('passwd', name);
  }

  gid(name: string): Promise<number | undefined> {
    return this.#find('group', name);
  }

  async #find(database: 'passwd' | 'group', name: string): Promise<number | undefined> {
    if (/^[0-9]{1,10}$/.test(name)) return Number(name);
    if (!/^[A-Za-z_][A-Za-z0-9_.@\\-]{0,255}\$?$/.test(name)) return undefined;
    const local = numberOf(await this.#file(database), name);
    if (local !== undefined || !this.#usesGetent) return local;
    return numberOf(await this.#getent(database, name), name);
  }

  /** A directory service may be slow or unreachable. */
  #getent(database: string, name: string): Promise<string> {
    const key = `${database} ${name}`;
    const entry = this.#entries.get(key) ?? getent(database, name);
    this.#entries.set(key, entry);
    return entry;
  }

  #file(database: string): Promise<string> {
    let text = this.#files.get(database);
    if (text === undefined) {
      // a machine without the file has no local accounts
      text = readFile(`/etc/${database}`, 'utf8').catch(() => '');
      this.#files.set(database, text);
    }
    return text;
  }
}

/** The third field, in `passwd` the uid and in `group` the gid. */
function numberOf(text: string, name: string): number | undefined {
  for (const line of text.split('\n')) {
    const [first, , number] = line.split(':');
    if (first === name && number !== undefined && /^[0-9]+$/.test(number)) return Number(number);
  }
  return undefined;
}

async function getent(database: string, name: string): Promise<string> {
  // loaded lazily: most machines never need it, and it slows down the start
  const { execFile } = await import('node:child_process');
  try {
    const { stdout } = await promisify(execFile)('getent', ['--', database, name], {
      timeout: 5000,
    });
    return stdout;
  } catch {
    // getent is not installed, or the name is unknown
    return '';
  }
}
