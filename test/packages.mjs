/**
 * Debian packages that only tests need: another bus, another TLS client, TLS servers, verifiers of certificates, a PKCS#11 spy, D-Bus libraries, a
 * registry, checks of packages, attributes of files.
 */
const packages = [
  'dbus-broker',
  'curl',
  'opensc-pkcs11',
  'python3-gi',
  'python3-dbus',
  'docker-registry',
  'python3-dasbus',
  'libnet-dbus-perl',
  'libdbus-1-dev',
  'libglib2.0-dev',
  'libglib2.0-dev-bin',
  'libsdbus-c++-dev',
  'libsdbus-c++-bin',
  'qtbase5-dev',
  'qtbase5-dev-tools',
  'qt6-base-dev',
  'qt6-base-dev-tools',
  'groff-base',
  'lintian',
  'shellcheck',
  'strace',
  'nginx',
  'mosquitto',
  'gnutls-bin',
  'libnss3-tools',
  'e2fsprogs',
];

/** Packages that tests use where they are available: Debian 12 lacks them, or has them too old. */
const optionalPackages = [
  'python3-sdbus',
  'python3-jinja2',
  'python3-cryptography',
  'libest-utils',
];

/** The packages that set-up installs before tests run. */
export const testPackages = { packages, optionalPackages };
