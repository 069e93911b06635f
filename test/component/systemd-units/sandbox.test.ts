import * as assert from 'uvu/assert';
import { UnitFile } from '../../support/systemd/unit-file.ts';
import { suite } from '../../support/timed-suite.ts';

const test = suite('sandbox of the units');

const deniedCalls =
  '@aio @keyring @memlock @privileged @resources @setuid process_vm_readv process_vm_writev userfaultfd';

/** What a service has unless the unit says why not. */
const whole: Readonly<Record<string, string | undefined>> = {
  AmbientCapabilities: '',
  CapabilityBoundingSet: '',
  DevicePolicy: 'closed',
  IPAddressDeny: 'any',
  KeyringMode: 'private',
  LimitCORE: '0',
  LockPersonality: 'yes',
  NoNewPrivileges: 'yes',
  PrivateDevices: 'yes',
  PrivateIPC: 'yes',
  PrivateMounts: 'yes',
  PrivateNetwork: 'yes',
  PrivateTmp: 'yes',
  PrivateUsers: 'yes',
  ProcSubset: 'pid',
  ProtectClock: 'yes',
  ProtectControlGroups: 'yes',
  ProtectHome: 'yes',
  ProtectHostname: 'yes',
  ProtectKernelLogs: 'yes',
  ProtectKernelModules: 'yes',
  ProtectKernelTunables: 'yes',
  ProtectProc: 'invisible',
  ProtectSystem: 'strict',
  ReadOnlyPaths: '/run /etc/iotedge',
  RemoveIPC: 'yes',
  RestrictAddressFamilies: 'AF_UNIX',
  RestrictNamespaces: 'yes',
  RestrictRealtime: 'yes',
  RestrictSUIDSGID: 'yes',
  SupplementaryGroups: undefined,
  SystemCallArchitectures: 'native',
  SystemCallErrorNumber: 'ENOSYS',
  SystemCallFilter: `@system-service @pkey|~${deniedCalls}`,
  UMask: '0077',
};

/** What is weaker in a unit. */
const exceptions: Readonly<Record<string, readonly string[]>> = {
  keys: ['ProtectProc', 'SystemCallFilter'],
  certificates: ['IPAddressDeny', 'PrivateNetwork', 'ProtectProc', 'RestrictAddressFamilies'],
  identity: ['IPAddressDeny', 'PrivateNetwork', 'ProtectProc', 'RestrictAddressFamilies'],
  modules: ['PrivateUsers', 'ProcSubset', 'ProtectHome', 'ProtectProc', 'SupplementaryGroups'],
};

for (const [name, expected] of Object.entries(exceptions)) {
  const unit = new UnitFile(`iotedge-${name}.service`);
  const valueOf = (directive: string) => unit.all(directive).join('|');

  test(`is whole for ${name} but for its exceptions`, () => {
    const runtime = unit.value('RuntimeDirectory');
    const paths = unit.value('ReadWritePaths');
    const own = [
      `/var/lib/iotedge/${name}`,
      ...(paths === undefined ? [] : [paths]),
      ...(runtime === undefined ? [] : [`/run/${runtime}`]),
    ];
    assert.is(unit.value('NoExecPaths'), `${own.join(' ')} /tmp /var/tmp /dev/shm`);
    const weaker = Object.keys(whole).filter((one) => valueOf(one) !== (whole[one] ?? ''));
    assert.equal(weaker, expected);
    for (const one of Object.keys(whole).filter((each) => whole[each] !== undefined))
      assert.ok(unit.all(one).length > 0 || expected.includes(one), `${one}= is missing`);
  });

  test(`has a reason for each exception for ${name}`, () => {
    const explained = unit.directives.filter(({ comment }) => comment !== '');
    const isExplained = (one: string) => explained.some((each) => each.name === one);
    assert.equal(
      expected.filter((one) => !isExplained(one)),
      [],
    );
  });
}

test.run();
