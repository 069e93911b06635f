import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unitsFolder } from './unit-file.ts';

const unitFolder = 'usr/lib/systemd/system';

/** A temporary root with the units of this machine's systemd and ours, for its offline tools. */
export class StagedRoot implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Programs that units run are stubs. */
  static async create(): Promise<StagedRoot> {
    const root = new StagedRoot(await mkdtemp(join(tmpdir(), 'iotedge-staged-')));
    await cp('/lib/systemd/system', join(root.path, unitFolder), { recursive: true });
    await cp(unitsFolder, join(root.path, unitFolder), { recursive: true });
    for (const program of ['usr/lib/iotedge/bin/node', 'bin/sh', 'bin/kill'])
      await root.write(program, '#!/bin/true\n', 0o755);
    return root;
  }

  /** Adds one of the drop-ins to a unit. */
  async useDropIn(unit: string, dropIn: string): Promise<void> {
    const folder = join(this.path, unitFolder, `${unit}.d`);
    await cp(join(unitsFolder, 'drop-ins', dropIn), join(folder, dropIn));
  }

  /** Writes a file and the directories above it. */
  async write(path: string, text: string, mode = 0o644): Promise<void> {
    const file = join(this.path, path);
    await mkdir(join(file, '..'), { recursive: true });
    await writeFile(file, text, { mode });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}
