import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const script = `
import json, sys, zipfile
file = zipfile.ZipFile(sys.argv[1])
assert file.testzip() is None
print(json.dumps({i.filename: file.read(i).decode('utf-8', 'replace') for i in file.infolist()}))
`;

/** The files of a zip file as texts, by their names, as Python reads them; checksums are compared. */
export async function unzipped(bytes: Buffer): Promise<Readonly<Record<string, string>>> {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-bundle-'));
  try {
    const path = join(directory, 'bundle.zip');
    await writeFile(path, bytes);
    const { stdout } = await promisify(execFile)('python3', ['-c', script, path], {
      maxBuffer: 64 << 20,
    });
    return JSON.parse(stdout) as Record<string, string>; // of the script
  } finally {
    await rm(directory, { recursive: true });
  }
}
