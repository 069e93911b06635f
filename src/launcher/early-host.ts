/**
 * Starts the process for a PKCS#11 library while the program itself is not compiled yet, if the configuration seems to
 * name one. It has no library: the program names it, on the socket that is descriptor 3 of the process.
 */
import { spawn } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { parseCommandLine } from '../service/command-line.ts';
import { childEnvironment } from '../service/systemd/manager-environment.ts';

/** Where the process is left for the program, which takes it or ends it: also in src/keys/pkcs11/library. */
const startedEarly = Symbol.for('iotedge.pkcs11-host');

function startEarlyHost(host: string, args: readonly string[]): void {
  try {
    const command = parseCommandLine(args);
    if (command.kind !== 'serve' || !existsSync(host) || !namesLibrary(command.configDir)) return;
    const child = spawn(process.execPath, [host], {
      env: childEnvironment(process.env),
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    });
    child.on('error', () => undefined); // the program finds no process that runs, and starts one
    Reflect.set(globalThis, startedEarly, child);
  } catch {
    // the program reports what is wrong with its arguments or its configuration
  }
}

function namesLibrary(configDir: string): boolean {
  const dropIns = join(configDir, 'keys.d');
  const more = existsSync(dropIns) ? readdirSync(dropIns).map((name) => join(dropIns, name)) : [];
  return [join(configDir, 'keys.yaml'), ...more].some(mentionsPkcs11);
}

/** Whether the word stands in a file, before the comment of a line. */
function mentionsPkcs11(path: string): boolean {
  if (!path.endsWith('.yaml') || !existsSync(path)) return false;
  const file = openSync(path, constants.O_NONBLOCK | constants.O_RDONLY);
  try {
    return fstatSync(file).isFile() && /^[^#\n]*pkcs11/m.test(readFileSync(file, 'latin1'));
  } finally {
    closeSync(file);
  }
}

startEarlyHost(join(import.meta.dirname, 'iotedge-pkcs11.cjs'), process.argv.slice(2));
