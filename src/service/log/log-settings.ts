/**
 * Settings made through LogControl1 survive an idle exit and a crash, or the next activation would undo them. They are
 * discarded by an orderly stop, as in systemd's own services, by a reload that changes the level, and by a reboot.
 */
import { join } from 'node:path';
import type { Bus } from '../../dbus/bus.ts';
import type { LogControl } from '../../dbus/server/log-control.ts';
import { describeError } from '../../errors.ts';
import { Mutex } from '../mutex.ts';
import { deleteStateFile, readStateJson, writeStateFile } from '../state/state-file.ts';
import type { ServiceLog } from './log.ts';

const formatVersion = 1;

/** Options of `LogSettings.open`. */
export interface LogSettingsOptions {
  readonly stateDir: string;
  readonly log: ServiceLog;
  readonly bus: Bus;
}

interface Saved {
  readonly bus: string;
  readonly level: string;
  readonly target: string;
}

/** Level and target of a log as LogControl1 reads and sets them, and the file that persists them. */
export class LogSettings implements LogControl {
  readonly #options: LogSettingsOptions;
  readonly #path: string;
  #hasFile = false;
  /** Serializes writes and removals of the file. */
  readonly #changes = new Mutex();

  private constructor(options: LogSettingsOptions) {
    this.#options = options;
    this.#path = join(options.stateDir, 'log-control.json');
  }

  /** Restores the settings that were made since the bus started. */
  static async open(options: LogSettingsOptions): Promise<LogSettings> {
    const settings = new LogSettings(options);
    await settings.#tolerate('read', () => settings.#restore());
    return settings;
  }

  get syslogIdentifier(): string {
    return this.#options.log.syslogIdentifier;
  }

  get level(): string {
    return this.#options.log.level;
  }

  set level(value: string) {
    this.#options.log.level = value;
    this.#save();
  }

  get target(): string {
    return this.#options.log.target;
  }

  set target(value: string) {
    this.#options.log.target = value;
    this.#save();
  }

  /** Discards the settings in favour of the configuration's, for the next process too. Never rejects. */
  discard(): Promise<void> {
    if (!this.#hasFile) return this.saved();
    this.#hasFile = false;
    return this.#change('removed', () => deleteStateFile(this.#path));
  }

  /** Resolves when the settings are persisted. Never rejects. */
  saved(): Promise<void> {
    return this.#changes.run(async () => undefined);
  }

  #save(): void {
    const { level, target } = this;
    this.#hasFile = true;
    void this.#change('saved', async () => {
      const content = { version: formatVersion, bus: await this.#busId(), level, target };
      await writeStateFile(this.#path, `${JSON.stringify(content)}\n`);
    });
  }

  #change(what: string, change: () => Promise<void>): Promise<void> {
    return this.#changes.run(() => this.#tolerate(what, change));
  }

  async #restore(): Promise<void> {
    const saved = await readStateJson(this.#path, parse);
    if (saved === undefined) return;
    this.#hasFile = true;
    if (saved.bus !== (await this.#busId())) return;
    const { log } = this.#options;
    log.level = saved.level;
    log.target = saved.target;
  }

  /** The bus gets a new id each time that it starts: after a boot the id differs. */
  async #busId(): Promise<string> {
    const [id] = await this.#options.bus.callDriver('GetId', '', []);
    return String(id);
  }

  async #tolerate(what: string, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      const fields = { path: this.#path, error: describeError(error) };
      this.#options.log.warn(`log settings not ${what}`, fields);
    }
  }
}

function parse(value: unknown): Saved {
  const fields = new Map<string, unknown>(Object.entries(value ?? {}));
  if (fields.get('version') !== formatVersion) throw new TypeError('it has an unknown version');
  const text = (name: string): string => String(fields.get(name));
  return { bus: text('bus'), level: text('level'), target: text('target') };
}
