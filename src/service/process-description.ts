import type { Caller } from '../dbus/server/caller.ts';
import { microseconds } from '../dbus/time.ts';
import type { LoadedConfig } from './reload/apply-config.ts';
import { readSandbox, type Sandbox } from './systemd/sandbox.ts';

/** The fields of `Describe` about the process rather than about what it serves. */
export class ProcessDescription {
  /** The configuration in force. */
  configuration: Pick<LoadedConfig<unknown>, 'digest' | 'loadedAt'>;
  #sandbox: Sandbox | undefined;

  constructor(configuration: Pick<LoadedConfig<unknown>, 'digest' | 'loadedAt'>) {
    this.configuration = configuration;
  }

  /** What of the sandbox is in force; read once, not before it is asked for. */
  get sandbox(): Sandbox {
    this.#sandbox ??= readSandbox();
    return this.#sandbox;
  }

  /**
   * The fields for a caller. The digest is shown to users who may read the files, root and that of the service: others
   * could guess PINs and passwords with it.
   */
  for({ uid }: Pick<Caller, 'uid'>): Readonly<Record<string, unknown>> {
    const { digest, loadedAt } = this.configuration;
    const mayRead = uid === 0 || uid === process.getuid?.();
    const loaded = { loaded_at: Number(microseconds(loadedAt)) };
    const configuration = mayRead ? { ...loaded, digest } : loaded;
    return { configuration, sandbox: this.sandbox };
  }
}
