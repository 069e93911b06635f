import { type Attempt, isTrue, withCapabilities } from './sandbox-attempts.ts';
import { call } from './system-call-attempts.ts';

/** Each of these alone gives a unit its own mount namespace. */
const noMountNamespace = [
  'ConfigurationDirectory=',
  'LoadCredential=',
  'NoExecPaths=',
  'PrivateDevices=no',
  'PrivateIPC=no',
  'PrivateNetwork=no',
  'PrivateTmp=no',
  'ProcSubset=all',
  'ProtectControlGroups=no',
  'ProtectHome=no',
  'ProtectHostname=no',
  'ProtectKernelLogs=no',
  'ProtectKernelModules=no',
  'ProtectKernelTunables=no',
  'ProtectSystem=no',
  'ReadOnlyPaths=',
];

/** In Perl, the number of further processes that can be started, up to 300; `$!` is the error of the last. */
const children = `do {
  my @pids;
  for (1 .. 300) {
    my $pid = fork;
    last unless defined $pid;
    if ($pid == 0) { sleep 60; POSIX::_exit(0) }
    push @pids, $pid;
  }
  my $error = $!;
  kill 9, @pids;
  waitpid $_, 0 for @pids;
  $! = $error;
  scalar @pids
}`;

/** Attempts that concern the process as a whole: its mounts, keyrings, capabilities and limits. */
export const processAttempts: readonly Attempt[] = [
  {
    name: 'PrivateMounts=: mount what the system then has',
    perl: `do {
  system('/bin/mount', '-t', 'tmpfs', 'probe', '/mnt') == 0 or die 'not mounted';
  open(my $mounts, '<', '/proc/1/mounts') or die 'not seen';
  ${isTrue('grep { m( /mnt ) } <$mounts>')}
}`,
    without: [...withCapabilities, ...noMountNamespace],
    reset: ['PrivateMounts=no'],
    stopped: 'EPERM',
  },
  {
    name: 'KeyringMode=: find a key of the user',
    perl: `do {
  my ($type, $name, $value) = ('user', 'probe', 'x');
  ${call('add_key', '$type, $name, $value, 1, -4')} or die 'no key';
  ${call('keyctl', '10, -3, $type, $name, 0')}
}`,
    without: ['PrivateUsers=no', 'SystemCallFilter='], // users of another namespace have other keyrings
    reset: ['KeyringMode=shared'],
    stopped: 'ENOKEY',
  },
  {
    name: 'AmbientCapabilities=: read the state of another service',
    perl: "sysopen(my $f, '/var/lib/iotedge/certificates/secret', O_RDONLY)",
    without: ['CapabilityBoundingSet=~', 'PrivateUsers=no'],
    reset: ['AmbientCapabilities=CAP_DAC_OVERRIDE'],
    stopped: 'EACCES',
  },
  {
    name: 'LimitCORE=: have memory with keys written to the disk',
    perl: call('prlimit64', "0, 4, my $limit = pack('Q2', 4096, 4096), 0"),
    without: ['SystemCallFilter='],
    reset: ['LimitCORE=infinity'],
    stopped: 'EPERM',
  },
  {
    name: 'TasksMax=: start 300 processes',
    perl: `${children} == 300`,
    reset: ['TasksMax=infinity'],
    stopped: 'EAGAIN',
    needs: 'pids',
  },
];
