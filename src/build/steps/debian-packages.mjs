import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.mjs';
import { hasNodeHeaders } from './node-headers.mjs';

/** Packages that the build needs. */
const toBuild = ['python3', 'make', 'g++', 'pkg-config', 'libsystemd-dev'];

/** Packages that the services, the private bus and the demonstration need. */
const toRun = [
  'dbus',
  'dbus-daemon',
  'polkitd',
  'systemd',
  'libglib2.0-bin',
  'softhsm2',
  'p11-kit',
  'p11-kit-modules',
  'opensc',
  'openssl',
  'ca-certificates',
  'util-linux',
  'iproute2',
  'docker.io',
  'busybox-static',
];

/** Programs that replace a package when installed from elsewhere: docker-ce and docker.io conflict. */
const programs = { 'docker.io': 'dockerd', 'docker-cli': 'docker' };

function isOnPath(program) {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

async function missingOf(packages) {
  const format = '${Package} ${db:Status-Status}\n';
  const { stdout } = await run('dpkg-query', ['-W', '-f', format, ...packages], { check: false });
  const installed = new Set(stdout.split('\n').filter((line) => line.endsWith(' installed')));
  return packages.filter(
    (name) =>
      !installed.has(`${name} installed`) && !(name in programs && isOnPath(programs[name])),
  );
}

/** The version that apt would install, '' when the distribution lacks the package. */
async function candidate(name) {
  const { stdout } = await run('apt-cache', ['policy', name], { check: false });
  const version = /^ {2}Candidate: (\S+)$/m.exec(stdout)?.[1] ?? '';
  return version === '(none)' ? '' : version;
}

/** Packages that only some distributions have or only some machines need, including `optional`. */
async function additions(optional) {
  const names = [];
  for (const name of await missingOf(optional)) {
    if ((await candidate(name)) !== '') names.push(name);
  }
  if (!isOnPath('docker') && (await candidate('docker-cli')) !== '') names.push('docker-cli');
  const major = process.versions.node.split('.')[0];
  if (!hasNodeHeaders() && (await candidate('libnode-dev')).startsWith(`${major}.`)) {
    names.push('libnode-dev');
  }
  return missingOf(names);
}

/**
 * The shell function that disables units of newly installed packages (those not listed in the file `$before`), so that
 * they do not start at the next boot. Units of systemd, the bus and polkit stay enabled.
 */
export const leaveDisabled = `
installed() { dpkg-query -W -f '\${db:Status-Status} \${Package}\\n' | sed -n 's/^installed //p' | sort; }
disable_new() {
  command -v systemctl >/dev/null || return 0
  installed | comm -13 "$before" - | while read -r package; do
    case $package in systemd* | udev | libnss-* | libpam-* | dbus* | polkit*) continue ;; esac
    dpkg-query -L "$package" | sed -n 's#.*/lib/systemd/system/\\([^/]*\\.\\(service\\|socket\\|timer\\|path\\)\\)$#\\1#p'
  done | sort -u | while read -r unit; do
    [ "$(systemctl is-enabled "$unit" 2>/dev/null)" != enabled ] || systemctl disable --quiet "$unit" || true
  done
}
`;

/**
 * The installation in one shell: a temporary policy-rc.d keeps installed services from starting, unless the
 * administrator has one. Never removes packages.
 */
const installation = `
set -eu
${leaveDisabled}
before=$(mktemp)
exec 9>/run/lock/iotedge-set-up.lock
flock 9
policy=/usr/sbin/policy-rc.d
mark='# temporary, written by the set-up of iotedge'
if [ -e "$policy" ] && grep -qxF "$mark" "$policy"; then rm -f "$policy"; fi
installed >"$before"
trap 'disable_new; rm -f "$before"' EXIT
trap 'exit 130' INT TERM HUP
if [ ! -e "$policy" ] && [ ! -L "$policy" ]; then
  trap 'disable_new; rm -f "$before" "$policy"' EXIT
  printf '#!/bin/sh\\n%s\\nexit 101\\n' "$mark" > "$policy"
  chmod 755 "$policy"
fi
apt-get install -y --no-install-recommends --no-remove \
  -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold "$@"
`;

const environment = () => ({
  ...process.env,
  DEBIAN_FRONTEND: 'noninteractive',
  NEEDRESTART_SUSPEND: '1',
  LC_ALL: 'C.UTF-8',
});

/** Refreshes apt's lists, waiting for another apt; an unreachable mirror fails the installation instead. */
export async function refreshLists() {
  for (let attempt = 0; attempt < 60; attempt += 1) {
    const { code, output } = await run('apt-get', ['update', '-q'], {
      check: false,
      env: environment(),
    });
    if (code === 0 || !output.includes('Could not get lock')) return;
    await new Promise((resolve) => {
      setTimeout(resolve, 5000);
    });
  }
}

/** Installs the missing ones of these Debian packages, as root. */
export async function ensurePackages(names, report) {
  await install(await missingOf(names), async () => [], report);
}

async function install(missing, more, report) {
  if (missing.length > 0) {
    report('apt-get update');
    await refreshLists();
  }
  const names = [...missing, ...(await more())];
  if (names.length === 0) return;
  report(`installing ${names.length} Debian packages: ${names.join(' ')}`);
  await run('sh', ['-c', installation, 'install', ...names], { env: environment() });
}

/**
 * Installs missing Debian packages: those of the project, `packages`, and those of `optionalPackages` that the
 * distribution has. Without root it only reports what is missing, and fails when that is needed to build.
 */
export async function installPackages({ packages = [], optionalPackages = [] }, report) {
  if (!isOnPath('apt-get') || !isOnPath('dpkg-query')) {
    report('this is not Debian or Ubuntu: the packages it needs are left to you');
    return;
  }
  const missing = await missingOf([...toBuild, ...toRun, ...packages]);
  const more = () => additions(optionalPackages);
  if (process.getuid() === 0) return install(missing, more, report);
  if (missing.length === 0) return;
  const advice = `missing Debian packages: sudo apt-get install ${missing.join(' ')}`;
  if (missing.some((name) => toBuild.includes(name))) throw new Error(advice);
  report(advice);
}
