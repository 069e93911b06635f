import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  readSandbox,
  reportSandbox,
  type Sandbox,
} from '../../../../src/service/systemd/sandbox.ts';
import { type LogLine, recordingLog } from '../../../support/log.ts';

const test = suite('self-check of the sandbox');

const confined = {
  status: `Name:\tnode
CapInh:\t0000000000000000
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapBnd:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
Seccomp_filters:\t14
`,
  uid_map: '         0          0          1\n       990        990          1\n',
  mountinfo: `500 400 254:0 / / ro,nosuid,relatime shared:1 master:1 - ext4 /dev/root rw,discard
501 500 254:0 /tmp/systemd-private-0a-iotedge-keys.service-x/tmp /tmp rw,nosuid - ext4 /dev/root rw
502 500 254:0 /var/lib/iotedge/keys /var/lib/iotedge/keys rw,nosuid - ext4 /dev/root rw
`,
  'net/dev': `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets
    lo:       0       0    0    0    0     0          0         0        0       0
`,
  limits: `Limit                     Soft Limit           Hard Limit           Units
Max core file size        0                    0                    bytes
`,
} as const;
type Own = keyof typeof confined;

const whole: Sandbox = {
  no_new_privileges: true,
  system_call_filter: true,
  no_capabilities: true,
  private_users: true,
  private_network: true,
  private_tmp: true,
  read_only_system: true,
  no_core: true,
};

const readFrom = (files: Partial<Record<Own, string>>) =>
  readSandbox((name) => {
    const text = files[name as Own];
    if (text === undefined) throw new Error('ENOENT');
    return text;
  });

test('finds everything that is in force', () => {
  assert.equal(readFrom(confined), whole);
});

test('finds each part that is missing, and only that', () => {
  const with_ = (file: Own, from: string, to: string) => ({
    ...confined,
    [file]: confined[file].replace(from, to),
  });
  const etc = '503 500 254:0 /etc /etc rw,nosuid - ext4 /dev/root rw\n';
  const usr = '503 500 254:0 /usr /usr rw,nosuid - ext4 /dev/root rw\n';
  for (const [part, files] of [
    ['no_new_privileges', with_('status', 'NoNewPrivs:\t1', 'NoNewPrivs:\t0')],
    ['system_call_filter', with_('status', 'Seccomp:\t2', 'Seccomp:\t0')],
    ['no_capabilities', with_('status', 'CapBnd:\t0', 'CapBnd:\t2')],
    ['no_capabilities', with_('status', 'CapEff:\t0', 'CapEff:\t2')],
    ['private_users', { ...confined, uid_map: '         0          0 4294967295\n' }],
    ['private_network', with_('net/dev', '    lo:', '  eth0:   0\n    lo:')],
    ['private_tmp', with_('mountinfo', 'systemd-private-', 'other-')],
    ['read_only_system', { ...confined, mountinfo: `${confined.mountinfo}${etc}` }],
    ['read_only_system', { ...confined, mountinfo: `${confined.mountinfo}${usr}` }],
    ['no_core', with_('limits', '0                    0  ', '0                    unlimited  ')],
  ] as const) {
    assert.equal(readFrom(files), { ...whole, [part]: false }, part);
  }
});

test('believes nothing that it cannot read', () => {
  for (const inForce of Object.values(readFrom({}))) assert.is(inForce, false);
});

test('looks at this process', () => {
  assert.equal(Object.keys(readSandbox()), Object.keys(whole));
});

test('reports once what is missing under systemd, but for what the unit leaves out', () => {
  const lines: LogLine[] = [];
  const log = recordingLog((line) => void lines.push(line));
  const environment = { INVOCATION_ID: 'a' };
  reportSandbox(whole, { log, environment, unconfined: [] });
  const some = { ...whole, private_users: false, private_tmp: false };
  reportSandbox(some, { log, environment, unconfined: ['private_users'] });
  reportSandbox(some, { log, environment: {}, unconfined: [] });
  assert.equal(
    lines.map(({ level, message, fields }) => [level, message, fields['missing']]),
    [
      ['info', 'sandbox in force', undefined],
      ['warn', 'sandbox incomplete', 'private_tmp'],
    ],
  );
});

test.run();
