import type { Properties } from '../dbus/definition.ts';
import { Display } from '../dbus/server/display.ts';
import type {
  certificateInterface,
  certificatesInterface,
  certificatesService,
} from '../interfaces/certificates.ts';

/** What the rest of the world sees of the certificates. */
export interface Publisher {
  put(id: string, properties: Properties<typeof certificateInterface>): void;
  remove(id: string): void;
  /** The digest of the default trust bundle, `` when it cannot be put together. */
  trustBundle(digest: string): void;
  /** What is wrong at present, one text per certificate. */
  health(problems: readonly string[]): void;
}

type ManagerState = Omit<Properties<typeof certificatesInterface>, 'Version'>;

/** Shows the certificates on the bus. */
export class BusPublisher
  extends Display<typeof certificatesService, ManagerState>
  implements Publisher
{
  #problems: readonly string[] = [];
  #disk = '';

  constructor() {
    super({ Health: 'ok', LastError: '', TrustBundleDigest: '' });
  }

  trustBundle(digest: string): void {
    if (digest === this.state.TrustBundleDigest) return;
    this.set({ TrustBundleDigest: digest });
    this.emit('TrustBundleChanged', {});
  }

  health(problems: readonly string[]): void {
    this.#problems = problems;
    this.#showHealth();
  }

  /** What is wrong with the disk, '' when nothing is. */
  disk(problem: string): void {
    this.#disk = problem;
    this.#showHealth();
  }

  #showHealth(): void {
    const problems = this.#disk === '' ? this.#problems : [this.#disk, ...this.#problems];
    this.set({
      Health: problems.length === 0 ? 'ok' : 'degraded',
      LastError: problems.join('; ').slice(0, 1024),
    });
  }
}
