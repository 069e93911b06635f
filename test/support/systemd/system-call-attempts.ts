import { type Attempt, asRoot, withCapabilities } from './sandbox-attempts.ts';

/** The numbers of system calls on x64 and arm64. */
const numbers = {
  acct: [163, 89],
  add_key: [248, 217],
  bpf: [321, 280],
  chroot: [161, 51],
  clock_settime: [227, 112],
  fchown: [93, 55],
  init_module: [175, 105],
  io_setup: [206, 0],
  io_uring_setup: [425, 425],
  keyctl: [250, 219],
  mbind: [237, 235],
  mlockall: [151, 230],
  mount: [165, 40],
  open_by_handle_at: [304, 265],
  perf_event_open: [298, 241],
  personality: [135, 92],
  pivot_root: [155, 41],
  prlimit64: [302, 261],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  ptrace: [101, 117],
  quotactl: [179, 60],
  reboot: [169, 142],
  sched_setaffinity: [203, 122],
  sched_setscheduler: [144, 119],
  setgid: [106, 144],
  setgroups: [116, 159],
  sethostname: [170, 161],
  setpriority: [141, 140],
  setuid: [105, 146],
  swapon: [167, 224],
  syslog: [103, 116],
  umount2: [166, 39],
  unshare: [272, 97],
  userfaultfd: [323, 282],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

type Call = keyof typeof numbers;

/** In Perl, whether a system call succeeds. */
export function call(name: Call, args: string): string {
  return `syscall(${numbers[name][process.arch === 'arm64' ? 1 : 0]}, ${args}) != -1`;
}

/** Calls that the filter denies, of those that every kernel has. With these arguments none does anything where it does not. */
const denied: readonly Call[] = [
  'acct',
  'add_key',
  'bpf',
  'chroot',
  'clock_settime',
  'fchown',
  'io_setup',
  'io_uring_setup',
  'keyctl',
  'mbind',
  'mlockall',
  'mount',
  'open_by_handle_at',
  'perf_event_open',
  'pivot_root',
  'process_vm_readv',
  'process_vm_writev',
  'ptrace',
  'quotactl',
  'reboot',
  'sched_setaffinity',
  'setgid',
  'setgroups',
  'sethostname',
  'setpriority',
  'setuid',
  'swapon',
  'syslog',
  'umount2',
  'userfaultfd',
];

/** Attempts at system calls, by the filter or by a directive of their own. */
export const systemCallAttempts: readonly Attempt[] = [
  ...denied.map((name) => ({
    name: `SystemCallFilter=: ${name}`,
    perl: call(name, '-1, -1, -1, -1, -1'),
    // their own filters answer first
    without: [
      'ProtectClock=no',
      'ProtectHostname=no',
      'ProtectKernelLogs=no',
      'ProtectKernelModules=no',
    ],
    reset: ['SystemCallFilter='],
    stopped: 'ENOSYS',
    passed: 'another error' as const,
    ...(name === 'mlockall' && { open: ['keys'] }),
  })),
  {
    name: 'RestrictNamespaces=: make a namespace of users',
    perl: call('unshare', '0x10000000'),
    reset: ['RestrictNamespaces=no'],
    stopped: 'EPERM',
  },
  {
    name: 'LockPersonality=: turn off the randomization of addresses',
    perl: call('personality', '0x40000'),
    reset: ['LockPersonality=no'],
    stopped: 'EPERM',
  },
  {
    name: 'RestrictRealtime=: be scheduled before everything else',
    perl: call('sched_setscheduler', "0, 2, my $priority = pack('i', 1000)"),
    without: ['SystemCallFilter='],
    reset: ['RestrictRealtime=no'],
    stopped: 'EPERM',
    passed: 'EINVAL',
  },
  {
    name: 'ProtectClock=: set the clock',
    perl: call('clock_settime', "0, my $time = pack('q2', 0, -1)"),
    without: withCapabilities,
    reset: ['ProtectClock=no'],
    stopped: 'EPERM',
    passed: 'EINVAL',
  },
  {
    name: 'ProtectHostname=: set the name of the machine',
    perl: call('sethostname', "my $name = 'probe', -1"),
    without: withCapabilities,
    reset: ['ProtectHostname=no'],
    stopped: 'EPERM',
    passed: 'EINVAL',
  },
  {
    name: 'ProtectKernelLogs=: read the log of the kernel',
    perl: call('syslog', '10, 0, 0'),
    without: withCapabilities,
    reset: ['ProtectKernelLogs=no'],
    stopped: 'EPERM',
  },
  {
    name: 'ProtectKernelModules=: load a module',
    perl: call('init_module', "my $module = '', 0, my $options = ''"),
    without: withCapabilities,
    reset: ['ProtectKernelModules=no'],
    stopped: 'EPERM',
    passed: 'another error',
  },
  {
    name: 'CapabilityBoundingSet=: change the root directory',
    perl: call('chroot', "my $root = '/'"),
    without: [...asRoot, 'SystemCallFilter='],
    reset: ['CapabilityBoundingSet=CAP_SYS_CHROOT'],
    stopped: 'EPERM',
  },
  ...(process.arch === 'x64'
    ? [
        {
          name: 'SystemCallArchitectures=: make the calls of another architecture',
          perl: "(system('/usr/bin/exit-of-i386') == 0) || do { $! = POSIX::EPERM; 0 }",
          reset: ['SystemCallArchitectures='],
          stopped: 'EPERM',
        },
      ]
    : []),
];
