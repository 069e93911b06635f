import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/**
 * Azure's own client of the provisioning service, at fixed versions. It is not a dependency of the project: 21 MB in 30
 * packages for two tests, one of which has a script that runs at installation. It is installed once, without scripts.
 */
const versions: Readonly<Record<string, string>> = {
  'azure-iot-provisioning-device': '1.9.1',
  'azure-iot-provisioning-device-http': '1.9.1',
  'azure-iot-security-symmetric-key': '1.8.2',
  'azure-iot-security-x509': '1.7.12',
};

const root = join(import.meta.dirname, '../../../..');
const directory = join(root, 'node_modules/.cache/official-sdk', Object.values(versions).join('-'));
const installMs = 180_000;

/** The directory of the packages; undefined where npm cannot install them. */
export function officialSdk(): string | undefined {
  if (existsSync(directory)) return directory;
  const fresh = `${directory}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  const names = Object.entries(versions).map(([name, version]) => `${name}@${version}`);
  const options = ['--ignore-scripts', '--no-save', '--no-audit', '--no-fund', '--prefix', fresh];
  const { status } = spawnSync('npm', ['install', ...options, ...names], { timeout: installMs });
  if (status !== 0) {
    rmSync(fresh, { recursive: true });
    return undefined;
  }
  renameSync(fresh, directory); // complete, or missing
  return directory;
}

/** The path of a package of the SDK, for `require`. */
export function sdkModule(name: string): string {
  return createRequire(join(directory, 'package.json')).resolve(name);
}
