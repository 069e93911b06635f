/**
 * Attempts to break out of the sandbox of a unit: for each directive what it must stop, and that the same succeeds
 * without it. The others must not stop it first, so those that would are reset in both cases.
 */

/** An attempt in Perl, which is true where it succeeds, and what the system has for it to find. */
export interface Attempt {
  /** The directive that stops it, and what is tried. */
  readonly name: string;
  readonly perl: string;
  /** Lines of a drop-in for both cases. */
  readonly without?: readonly string[];
  /** Lines of a drop-in that resets the directive. */
  readonly reset: readonly string[];
  /** The error with the directive. */
  readonly stopped: string;
  /** What shows that it passed, where the attempt is made so that even then it changes nothing. */
  readonly passed?: 'EINVAL' | 'another error';
  /** The services whose unit does not stop it, by an exception. */
  readonly open?: readonly string[];
  /** The only services that it is about. */
  readonly only?: readonly string[];
  /**
   * What the directive needs to have an effect: control groups of version 2 alone, as systemd states, or a controller of
   * processes, which a hierarchy of version 2 beside one of version 1 does not have.
   */
  readonly needs?: 'unified' | 'pids';
}

const noFilter = [
  'SystemCallFilter=',
  'LockPersonality=no',
  'ProtectClock=no',
  'ProtectHostname=no',
  'ProtectKernelLogs=no',
  'ProtectKernelModules=no',
  'RestrictNamespaces=no',
  'RestrictRealtime=no',
  'RestrictSUIDSGID=no',
  'RestrictAddressFamilies=',
  'SystemCallArchitectures=',
];
/** Drop-in lines for attempts that root could make, and one with all capabilities. */
export const asRoot = ['User=root', 'PrivateUsers=no', 'StateDirectory='];
export const withCapabilities = [...asRoot, 'CapabilityBoundingSet=~', 'SystemCallFilter='];
const write = (path: string) => `sysopen(my $f, '${path}', O_WRONLY | O_CREAT)`;
const read = (path: string) => `sysopen(my $f, '${path}', O_RDONLY)`;
const connectTo = (family: string, address: string) =>
  `socket(S, ${family}, SOCK_STREAM, 0) && connect(S, ${address})`;
const runFrom = (directory: string) =>
  `do {
  my $program = "${directory}/probe";
  system('/bin/cp', '/bin/true', $program) == 0 or die "not copied to $program";
  my $status = system { $program } $program;
  my $error = $!;
  unlink $program;
  $! = $error;
  $status == 0
}`;
const loopback = "sockaddr_in(7, inet_aton('127.0.0.1'))";
/** In Perl, EPERM where a condition does not hold. */
export const isTrue = (condition: string) => `(${condition}) || do { $! = POSIX::EPERM; 0 }`;

/** What the attempts look for, made before they run. */
export const surroundings = `
set -eu
mkdir -p /home/someone /usr/lib/modules /var/lib/other
echo home >/home/someone/file
echo outside >/tmp/outside
mknod -m 666 /dev/probe c 1 5
mknod -m 666 /dev/other c 10 235
install -o games -m 644 /dev/null /etc/of-games
mkdir -p /var/lib/iotedge/keys /var/lib/iotedge/certificates /var/lib/iotedge/identity /var/lib/iotedge/modules
install -o iotedge-certificates -m 600 /dev/null /var/lib/iotedge/certificates/secret
chown iotedge-certificates: /var/lib/iotedge/certificates
chmod 700 /var/lib/iotedge/certificates
install -m 4755 /usr/bin/id /usr/bin/id-of-root
perl -e 'defined shmget(4711, 4096, 01666) or die'
ip link set lo up
cat >/run/systemd/system/probe-listen.socket <<'UNIT'
[Socket]
ListenStream=@probe
ListenStream=127.0.0.1:7
Accept=yes
UNIT
cat >/run/systemd/system/probe-listen@.service <<'UNIT'
[Service]
ExecStart=/bin/true
UNIT
perl -e 'my $code = "\\xb8\\x01\\0\\0\\0\\x31\\xdb\\xcd\\x80"; my ($base, $size) = (0x8048000, 84 + length $code);
  print pack("a4C5x7SSLLLLLSSSSSS", "\\x7fELF", 1, 1, 1, 0, 0, 2, 3, 1, $base + 84, 52, 0, 0, 52, 32, 1, 0, 0, 0),
    pack("L8", 1, 0, $base, $base, $size, $size, 5, 4096), $code' >/usr/bin/exit-of-i386
chmod 755 /usr/bin/exit-of-i386
systemctl daemon-reload
systemctl start probe-listen.socket
`;

/** Attempts of all kinds but those at system calls. */
export const attempts: readonly Attempt[] = [
  ...['/etc/probe', '/usr/probe', '/var/lib/other/probe'].map((path) => ({
    name: `ProtectSystem=: write ${path}`,
    perl: write(path),
    without: asRoot,
    reset: ['ProtectSystem=no'],
    stopped: 'EROFS',
  })),
  ...['/run/probe', '/etc/iotedge/probe'].map((path) => ({
    name: `ReadOnlyPaths=: write ${path}`,
    perl: write(path),
    without: asRoot,
    reset: ['ReadOnlyPaths='],
    stopped: 'EROFS',
  })),
  {
    name: 'ProtectHome=: read a file in a home directory',
    perl: read('/home/someone/file'),
    reset: ['ProtectHome=no'],
    stopped: 'EACCES',
    open: ['modules'],
  },
  {
    name: 'PrivateTmp=: read a file of others in /tmp',
    perl: read('/tmp/outside'),
    reset: ['PrivateTmp=no'],
    stopped: 'ENOENT',
  },
  {
    name: 'PrivateDevices=: open a device of the system',
    perl: read('/dev/probe'),
    reset: ['PrivateDevices=no'],
    stopped: 'ENOENT',
  },
  {
    name: 'DevicePolicy=: open a device that is no pseudo device',
    perl: read('/dev/other'),
    without: ['PrivateDevices=no', 'ProtectClock=no'],
    reset: ['DevicePolicy=auto'],
    stopped: 'EPERM',
    passed: 'another error',
  },
  {
    name: 'PrivateNetwork=: connect to an abstract socket',
    perl: connectTo('AF_UNIX', 'pack("Sa*", AF_UNIX, "\\0probe")'),
    without: ['IPAddressDeny='],
    reset: ['PrivateNetwork=no'],
    stopped: 'ECONNREFUSED',
    open: ['certificates', 'identity'],
  },
  ...['AF_INET', 'AF_INET6'].map((family) => ({
    name: `RestrictAddressFamilies=: open a socket of ${family}`,
    perl: `socket(my $s, ${family}, SOCK_DGRAM, 0)`,
    reset: ['RestrictAddressFamilies='],
    stopped: 'EAFNOSUPPORT',
    open: ['certificates', 'identity'],
  })),
  {
    name: 'RestrictAddressFamilies=: open a socket of AF_NETLINK',
    perl: 'socket(my $s, 16, SOCK_DGRAM, 0)',
    reset: ['RestrictAddressFamilies='],
    stopped: 'EAFNOSUPPORT',
  },
  {
    name: 'IPAddressDeny=: send to an address',
    perl: `socket(S, AF_INET, SOCK_DGRAM, 0) && defined send(S, 'x', 0, ${loopback})`,
    without: ['PrivateNetwork=no', 'RestrictAddressFamilies='],
    reset: ['IPAddressDeny='],
    stopped: 'EPERM',
    open: ['certificates', 'identity'],
  },
  {
    name: 'SocketBindDeny=: listen at a port',
    perl: 'socket(S, AF_INET, SOCK_STREAM, 0) && bind(S, sockaddr_in(4711, INADDR_ANY))',
    reset: ['SocketBindDeny='],
    stopped: 'EPERM',
    only: ['certificates', 'identity'],
    needs: 'unified',
  },
  {
    name: 'PrivateUsers=: see which user owns a file',
    perl: isTrue('(stat "/etc/of-games")[4] != 65534'),
    reset: ['PrivateUsers=no'],
    stopped: 'EPERM',
    open: ['modules'],
  },
  {
    name: 'PrivateIPC=: find shared memory of others',
    perl: 'defined shmget(4711, 4096, 0666)',
    reset: ['PrivateIPC=no'],
    stopped: 'ENOENT',
  },
  {
    name: 'ProcSubset=: read what the kernel says about the machine',
    perl: read('/proc/cpuinfo'),
    reset: ['ProcSubset=all'],
    stopped: 'ENOENT',
    open: ['modules'],
  },
  {
    name: 'ProtectProc=: see other processes',
    perl: read('/proc/1/cgroup'),
    without: ['ProtectProc=invisible'],
    reset: ['ProtectProc=default'],
    stopped: 'ENOENT',
  },
  {
    name: 'ProtectControlGroups=: make a control group',
    perl: 'mkdir((grep { -d } glob "/sys/fs/cgroup/{systemd,unified,}/system.slice")[0] . "/probe$$")',
    without: [...asRoot, 'ProtectKernelTunables=no'],
    reset: ['ProtectControlGroups=no'],
    stopped: 'EROFS',
  },
  {
    name: 'ProtectKernelTunables=: read the symbols of the kernel',
    perl: read('/proc/kallsyms'),
    without: ['ProcSubset=all'],
    reset: ['ProtectKernelTunables=no'],
    stopped: 'EACCES',
  },
  {
    name: 'ProtectKernelModules=: read the modules of the kernel',
    perl: "opendir(my $d, '/usr/lib/modules')",
    reset: ['ProtectKernelModules=no'],
    stopped: 'EACCES',
  },
  ...['/tmp', '/var/tmp', '/dev/shm', '$ENV{STATE_DIRECTORY}'].map((directory) => ({
    name: `NoExecPaths=: run a program from ${directory}`,
    perl: runFrom(directory),
    reset: ['NoExecPaths='],
    stopped: 'EACCES',
  })),
  {
    name: 'RestrictSUIDSGID=: make a file that runs as its owner',
    perl: 'do { my $p = "/tmp/probe$$"; sysopen(my $f, $p, O_WRONLY | O_CREAT); chmod 04755, $p }',
    reset: ['RestrictSUIDSGID=no'],
    stopped: 'EPERM',
  },
  {
    name: 'NoNewPrivileges=: run a program as root',
    perl: isTrue('`/usr/bin/id-of-root -u` == 0'),
    without: [...noFilter, 'PrivateDevices=no', 'ProtectKernelTunables=no', 'ProtectProc=default'],
    reset: ['NoNewPrivileges=no'],
    stopped: 'EPERM',
  },
  {
    name: 'UMask=: make a file that others can read',
    perl:
      'do { my $p = "/tmp/probe$$"; sysopen(my $f, $p, O_WRONLY | O_CREAT, 0666); ' +
      isTrue('(stat $p)[2] & 0004') +
      ' }',
    reset: ['UMask=0022'],
    stopped: 'EPERM',
  },
  {
    name: 'User=: read the state of another service',
    perl: read('/var/lib/iotedge/certificates/secret'),
    reset: ['User=iotedge-certificates', 'StateDirectory='],
    stopped: 'EACCES',
    only: ['keys', 'identity', 'modules'],
  },
  {
    name: 'User=: send a signal to the process of another user',
    perl: 'kill(0, 1)',
    reset: asRoot,
    stopped: 'EPERM',
  },
];
