import { stat } from 'node:fs/promises';
import type { Rig } from '../rig/rig.ts';

/** A disk of 1 MiB that replaces a directory for a service, with a copy of its content; the test still sees the original. */
export class SmallDisk implements AsyncDisposable {
  readonly directory: string;
  readonly #rig: Rig;

  private constructor(rig: Rig, directory: string) {
    this.#rig = rig;
    this.directory = directory;
  }

  /** The services that use the directory must be stopped, now and at the disposal. */
  static async mount(rig: Rig, directory: string): Promise<SmallDisk> {
    const disk = new SmallDisk(rig, directory);
    const { uid, gid } = await stat(directory);
    const mount = `mount -t tmpfs -o size=1m,mode=700,uid=${uid},gid=${gid} tmpfs "$1"`;
    await disk.run(`cp -a "$1" "$1.away"; ${mount}; cp -a "$1.away/." "$1"`);
    return disk;
  }

  /** Fills the disk. */
  async fill(): Promise<void> {
    await this.run('cat /dev/zero >"$1/filler" || true; test -s "$1/filler"');
  }

  /** Frees the space again. */
  async empty(): Promise<void> {
    await this.run('rm "$1/filler"');
  }

  /** Runs a shell script with the directory as its argument; throws when it fails. */
  async run(script: string): Promise<void> {
    const { code, stderr } = await this.#rig.run('sh', ['-euc', script, 'sh', this.directory]);
    if (code !== 0) throw new Error(`${script}: ${stderr}`);
  }

  /** Restores the original directory. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.run('umount "$1"; rm -r "$1.away"');
  }
}
