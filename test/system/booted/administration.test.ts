import * as assert from 'uvu/assert';
import { bootedSuite } from '../../support/boot/booted-suite.ts';
import type { BootedSystem } from '../../support/boot/booted-system.ts';

const test = bootedSuite('iotedgectl as an administrator runs it');
const dropIn = '/etc/systemd/system/iotedge-modules-management.socket.d/listen.conf';

async function iotedgectl(system: BootedSystem, words: string) {
  return system.run(['iotedgectl', ...words.split(' ')], { timeoutMs: 60_000 });
}

const succeed = async (system: BootedSystem, words: string) => {
  const { code, stdout, stderr } = await iotedgectl(system, words);
  assert.is(code, 0, `${words}: ${stdout}${stderr}`);
  return stdout;
};

const pidOf = async (system: BootedSystem, unit: string) => (await system.unit(unit))['MainPID'];

test('system restart runs all services in other processes, each before its callers', async (system) => {
  await succeed(system, 'system restart');
  const before = await pidOf(system, 'iotedge-keys.service');
  assert.equal((await succeed(system, 'system restart')).trim().split('\n'), [
    'keys: restarted',
    'certificates: restarted',
    'identity: restarted',
    'modules: restarted',
  ]);
  assert.is.not(await pidOf(system, 'iotedge-keys.service'), before);
});

test('system restart says why a service does not start, and starts it once that is mended', async (system) => {
  await system.write('/etc/iotedge/keys.yaml', 'no_such_setting: 1\n');
  for (let tries = 0; tries < 2; tries++) {
    const { code, stdout } = await iotedgectl(system, 'system restart keys');
    assert.is(code, 4);
    assert.match(stdout, /^keys: not restarted: .*status 78.*config check/);
    assert.match(stdout, 'no_such_setting'); // from the journal
  }
  assert.match((await iotedgectl(system, 'system status')).stdout, /keys\.service +failed/);
  assert.is((await iotedgectl(system, 'status')).code, 4);
  await system.write('/etc/iotedge/keys.yaml', 'log_level: info\n');
  assert.is(await succeed(system, 'system restart keys'), 'keys: restarted\n');
});

test('system status shows services, sockets and timers', async (system) => {
  await succeed(system, 'system restart');
  const { code, stdout } = await iotedgectl(system, 'system status');
  assert.is(code, 6); // there is no container engine
  for (const unit of ['keys.service', 'modules-workload.socket', 'identity.timer']) {
    assert.match(stdout, new RegExp(`^iotedge-${unit.replace('.', '\\.')} +active`, 'm'));
  }
  assert.match(stdout, /management\.socket .* \/var\/lib\/iotedge\/mgmt\.sock/);
});

test('system logs shows the journal of the services that are named', async (system) => {
  await system.output(['journalctl', '--sync']);
  const keys = await succeed(system, 'system logs keys');
  assert.match(keys, /iotedge-keys\.service/);
  assert.not.match(keys, /iotedge-identity\.service/);
  assert.match(await succeed(system, 'system logs'), /iotedge-identity\.service/);
});

test('an unprivileged user sees the state, and restarts and applies nothing', async (system) => {
  for (const words of ['system restart keys', 'config apply', 'system prepare-image --yes']) {
    const { code } = await system.run(['iotedgectl', ...words.split(' ')], { user: 'nobody' });
    assert.is(code, 3, words);
  }
  const { stdout } = await system.run(['iotedgectl', 'system', 'status'], { user: 'nobody' });
  assert.match(stdout, /keys\.service +active/);
});

test("a user at a terminal has polkit's agent while a service is restarted", async (system) => {
  const wrapper = '#!/bin/sh\necho "$PPID $*" >>/tmp/agents\nexec /usr/bin/pkttyagent "$@"\n';
  await system.write('/opt/agent/pkttyagent', wrapper, '0755');
  await system.output('rm -f /tmp/agents; touch /tmp/agents; chmod 666 /tmp/agents');
  const agents = () => system.output('cat /tmp/agents');
  const restart = async (options: string, at = '') => {
    const command = `PATH=/opt/agent:$PATH iotedgectl system restart keys ${options}; pgrep pkttyagent >>/tmp/agents`;
    const script = at === '' ? command : `${at} '${command}' /dev/null </dev/null`;
    return system.run(['sh', '-c', script], { user: 'nobody' });
  };
  await restart('');
  await restart('--no-ask-password', 'script -qec');
  assert.is(await agents(), '');
  await restart('', 'script -qec');
  const [pid, ...args] = (await agents()).split(' ');
  assert.equal(args, ['--process', pid, '--notify-fd', '3', '--fallback']);
});

test('config apply puts a change into force in the process that runs', async (system) => {
  await succeed(system, 'system restart');
  const before = await pidOf(system, 'iotedge-keys.service');
  await system.write('/etc/iotedge/keys.yaml', '# mine\nlog_level: debug\n');
  await system.output('touch /var/lib/iotedge/keys/restored');
  const shown = await succeed(system, 'config apply --dry-run');
  assert.match(shown, 'would be done: /etc/iotedge/keys.yaml');
  assert.is(await system.output('stat -c %a /etc/iotedge/keys.yaml'), '644');
  const stdout = await succeed(system, 'config apply');
  assert.match(stdout, /keys\.yaml: owner 0:0 → root:iotedge-keys, mode 0644 → 0640/);
  assert.match(stdout, /keys: read its configuration again/);
  const stat = 'stat -c "%U:%G %a" /etc/iotedge/keys.yaml /var/lib/iotedge/keys/restored';
  assert.equal((await system.output(stat)).split('\n'), [
    'root:iotedge-keys 640',
    'iotedge-keys:iotedge-keys 644',
  ]);
  assert.is(await pidOf(system, 'iotedge-keys.service'), before);
  assert.match(await system.output('cat /etc/iotedge/keys.yaml'), '# mine');
});

test('config apply changes nothing but modes for a wrong configuration', async (system) => {
  await system.write('/etc/iotedge/identity.yaml', 'provisionin: {}\n');
  const { code, stdout } = await iotedgectl(system, 'config apply');
  assert.is(code, 78);
  assert.match(stdout, 'did you mean "provisioning"');
  assert.not.match(stdout, 'read its configuration');
  await system.write('/etc/iotedge/identity.yaml', 'homedir_path: /var/lib/iotedge/other\n');
  const refused = await iotedgectl(system, 'config apply');
  assert.is(refused.code, 1);
  assert.match(refused.stdout, /identity: .*restart needed.*system restart identity/);
  await system.output('rm /etc/iotedge/identity.yaml');
  await succeed(system, 'config apply');
});

test('config apply moves a socket and moves it back', async (system) => {
  const listens = () => system.output("ss -xlH | awk '{print $5}' | grep -E 'mgmt|moved'");
  const path = '/run/moved%.sock';
  await system.write('/etc/iotedge/modules.yaml', `listen: {management_uri: 'unix://${path}'}\n`);
  await succeed(system, 'config apply');
  assert.match(
    await system.output(`cat ${dropIn}`),
    '\nListenStream=\nListenStream=/run/moved%%.sock',
  );
  assert.is(await listens(), path);
  assert.is((await system.unit('iotedge-modules.service'))['ActiveState'], 'active');
  assert.not.match(await succeed(system, 'config apply'), 'socket');
  await system.output('rm /etc/iotedge/modules.yaml');
  await succeed(system, 'config apply');
  assert.is(await listens(), '/var/lib/iotedge/mgmt.sock');
  assert.is((await system.run(['test', '-e', dropIn])).code, 1);
});

test('system prepare-image removes what tells the device from another, and nothing starts before the next boot', async (system) => {
  const create = 'org.iotedge.Keys1 /org/iotedge/Keys1 org.iotedge.Keys1 CreateKey ssasa{sv}';
  await system.output(`busctl call ${create} mine aes-256 0 0`);
  assert.is((await iotedgectl(system, 'system prepare-image')).code, 2);
  assert.match(
    await succeed(system, 'system prepare-image --dry-run'),
    /would be done: keys: \d+ files removed/,
  );
  assert.is(await system.output('ls /var/lib/iotedge/keys/keys | wc -l'), '1');
  const stdout = await succeed(system, 'system prepare-image --yes');
  assert.match(stdout, /keys: \d+ files removed from \/var\/lib\/iotedge\/keys/);
  assert.match(stdout, 'power off');
  assert.is(await system.output('find /var/lib/iotedge -type f | wc -l'), '0');
  assert.is((await system.run(`busctl call ${create} mine aes-256 0 0`)).code, 1);
  assert.is(await system.output('find /var/lib/iotedge -type f | wc -l'), '0');
  await system.reboot();
  await system.output(`busctl call ${create} mine aes-256 0 0`);
});

test.run();
