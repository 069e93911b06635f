import type { Properties } from '../dbus/definition.ts';
import type { ObjectManager } from '../dbus/server/object-manager.ts';
import type { certificateInterface, certificatesService } from '../interfaces/certificates.ts';

/** What the rest of the world sees of the certificates. */
export interface Publisher {
  put(id: string, properties: Properties<typeof certificateInterface>): void;
  remove(id: string): void;
  /** The digest of the default trust bundle, `` when it cannot be put together. */
  trustBundle(digest: string): void;
  /** What is wrong at present, one text per certificate. */
  health(problems: readonly string[]): void;
}

/** Shows the certificates on the bus. */
export class BusPublisher implements Publisher {
  readonly #objects: ObjectManager<typeof certificatesService>;
  #trustBundle = '';
  #problems: readonly string[] = [];
  #disk = '';

  constructor(objects: ObjectManager<typeof certificatesService>) {
    this.#objects = objects;
    objects.setProperties({ TrustBundleDigest: '' });
  }

  put(id: string, properties: Properties<typeof certificateInterface>): void {
    this.#objects.put(id, properties);
  }

  remove(id: string): void {
    this.#objects.remove(id);
  }

  trustBundle(digest: string): void {
    if (digest === this.#trustBundle) return;
    this.#trustBundle = digest;
    this.#objects.setProperties({ TrustBundleDigest: digest });
    this.#objects.emit('TrustBundleChanged', {});
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
    this.#objects.setProperties({
      Health: problems.length === 0 ? 'ok' : 'degraded',
      LastError: problems.join('; ').slice(0, 1024),
    });
  }
}
