import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The distributions in README. npm 9.2 is the version of Debian's packages, npm 10 that of Node 20.
 * `script` is for versions of debootstrap that are older than the distribution.
 */
export const distributions = [
  { name: 'debian-12', title: 'Debian 12', distributor: 'Debian', suite: 'bookworm', npm: '9.2' },
  { name: 'debian-13', title: 'Debian 13', distributor: 'Debian', suite: 'trixie', npm: '10' },
  {
    name: 'ubuntu-24.04',
    title: 'Ubuntu 24.04',
    distributor: 'Ubuntu',
    suite: 'noble',
    mayBeMissing: true,
    script: 'gutsy',
    components: 'main,universe',
    npm: '10',
    /** The keyring that signs the archive, from a package of the archive itself; Debian does not package it. */
    keyring: {
      package: 'pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb',
      sha256: '36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8',
      file: 'usr/share/keyrings/ubuntu-archive-keyring.gpg',
    },
  },
];

/** What a system with systemd as its process 1 has beyond the bare root, apart from its bus. */
const systemPackages = [
  'systemd',
  'systemd-sysv',
  'libpam-systemd',
  'libnss-systemd',
  'polkitd',
  'ca-certificates',
  'iproute2',
  'procps',
  'openssl',
  'softhsm2',
  'opensc',
  'docker.io',
];

function booted(name, bus) {
  const bare = distributions.find((distribution) => distribution.name === name);
  return { ...bare, name: `booted-${name}`, packages: [...systemPackages, ...bus] };
}

/** The systems that tests boot, each with the bus of its distribution. */
export const bootedSystems = {
  'debian-12': booted('debian-12', ['dbus', 'dbus-daemon']),
  'debian-13': booted('debian-13', ['dbus-broker']),
};

/** One of them, another when what is installed changes, so that a run can be repeated. */
export function sampledSystem(lib) {
  const hash = createHash('sha256');
  const bundles = readdirSync(lib).filter((name) => name.endsWith('.cjs'));
  for (const name of bundles.sort()) hash.update(readFileSync(join(lib, name)));
  const names = Object.keys(bootedSystems);
  return names[hash.digest()[0] % names.length];
}

/** What iotedge-dbus depends on, apart from iotedge-node; the Node of Debian 12 is too old for it. */
const dependencies = ['dbus', 'libsystemd0', 'nodejs'];

function chroot(name) {
  const bare = distributions.find((distribution) => distribution.name === name);
  return { ...bare, name: `${name}-chroot`, packages: dependencies };
}

/** The systems without systemd into which tests install packages. */
export const chroots = {
  'debian-12-chroot': chroot('debian-12'),
  'debian-13-chroot': chroot('debian-13'),
};
