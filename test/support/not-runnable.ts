/**
 * The list of requirements that some machines do not meet. A test with such a requirement is defined by the result of
 * `runnable`; where it cannot run, it is printed as not runnable here. Any other test that does not run fails.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { officialSdk } from './identity/official-sdk.ts';

interface Need {
  /** Printed where the requirement is not met. */
  readonly reason: string;
  readonly isMet: () => boolean;
}

const clientVerifier = 'from cryptography.x509.verification import ClientVerifier';

/** The requirements of tests beyond root and the packages that set-up installs. */
const needs = {
  'container-engine': {
    reason: 'no dockerd is installed',
    isMet: () => isInstalled('dockerd'),
  },
  'resource-capability': {
    reason: 'CAP_SYS_RESOURCE is not in the bounding set, so no container can be privileged',
    isMet: () => hasCapability(24),
  },
  'booted-system': {
    reason: 'no system can be booted below a chroot',
    isMet: () => / \/ \/ /.test(readFileSync('/proc/self/mountinfo', 'utf8')),
  },
  amd64: {
    reason: 'this machine is of another architecture',
    isMet: () => process.arch === 'x64',
  },
  'cgroup-v2': {
    reason: 'the controllers of cgroup v2 are not available',
    isMet: () => controllers().includes('memory'),
  },
  'peer-pidfd': {
    reason: 'a kernel before 6.5 has no pidfd of a peer',
    isMet: () => {
      const [major = 0, minor = 0] = release().split('.').map(Number);
      return major > 6 || (major === 6 && minor >= 5);
    },
  },
  'python-sdbus': {
    reason: 'this distribution has no python3-sdbus',
    isMet: () => isReadable('/usr/lib/python3/dist-packages/sdbus/__init__.py'),
  },
  'python-x509-verification': {
    reason: 'python3-cryptography is older than 43',
    isMet: () => spawnSync('python3', ['-c', clientVerifier]).status === 0,
  },
  estserver: {
    reason: 'this distribution has no libest-utils',
    isMet: () => isInstalled('estserver'),
  },
  'official-sdk': {
    reason: "npm cannot install Azure's provisioning client",
    isMet: () => officialSdk() !== undefined,
  },
  tpm: {
    reason: 'there is no TPM device',
    isMet: () => isReadable('/dev/tpmrm0'),
  },
} as const satisfies Readonly<Record<string, Need>>;

type Define = (name: string, run: () => void | Promise<void>) => void;

/** Defines tests by `define` where the need is met; elsewhere prints each as not runnable here. */
export function runnable(need: keyof typeof needs, define: Define): Define {
  const { isMet, reason } = needs[need];
  if (isMet()) return (name, run) => define(name, run);
  return (name) => {
    console.log(`not runnable here: ${need} (${reason}): ${name}`);
  };
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function isInstalled(program: string): boolean {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin'];
  return folders.some((folder) => isReadable(join(folder, program)));
}

function hasCapability(bit: number): boolean {
  const bounding = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return ((BigInt(`0x${bounding ?? '0'}`) >> BigInt(bit)) & 1n) === 1n;
}

function controllers(): readonly string[] {
  const file = '/sys/fs/cgroup/cgroup.controllers';
  return isReadable(file) ? readFileSync(file, 'utf8').trim().split(' ') : [];
}
