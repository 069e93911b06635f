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

test('config apply takes the names that IoT Edge has for state directories', async (system) => {
  await system.write('/etc/iotedge/modules.yaml', "homedir: '/var/lib/iotedge/iotedged'\n");
  assert.not.match(await succeed(system, 'config apply'), 'restart');
  await system.output('rm /etc/iotedge/modules.yaml');
  assert.not.match(await succeed(system, 'config apply'), 'restart');
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

test('config apply ends what an interruption left, whatever systemd has read by then', async (system) => {
  const listens = () => system.output("ss -xlH | awk '{print $5}' | grep -E 'mgmt|moved'");
  const moved = "listen: {management_uri: 'unix:///run/moved.sock'}\n";
  await system.write('/etc/iotedge/modules.yaml', moved);
  await succeed(system, 'config apply');
  const text = await system.output(`cat ${dropIn}`);
  for (const then of ['true', 'systemctl daemon-reload']) {
    await system.output('rm /etc/iotedge/modules.yaml');
    await succeed(system, 'config apply');
    await system.output('systemctl reset-failed "iotedge-modules*"'); // their start limits
    await system.write('/etc/iotedge/modules.yaml', moved);
    await system.write(dropIn, `${text}\n`);
    await system.output(then);
    assert.match(await succeed(system, 'config apply'), 'management.socket: stopped');
    assert.is(await listens(), '/run/moved.sock', then);
    await system.output('systemctl reset-failed "iotedge-modules*"');
    assert.not.match(await succeed(system, 'config apply'), 'socket');
  }
});

test("config apply reports an administrator's drop-in that listens elsewhere, and leaves it", async (system) => {
  await system.output('rm /etc/iotedge/modules.yaml; systemctl reset-failed "iotedge-modules*"');
  await succeed(system, 'config apply');
  const own = '[Socket]\nListenStream=\nListenStream=/run/own.sock\n';
  await system.write(dropIn, own);
  for (let tries = 0; tries < 2; tries++) {
    const { code, stdout } = await iotedgectl(system, 'config apply');
    assert.is(code, 1);
    assert.match(stdout, /management\.socket listens on \/run\/own\.sock, and not on .*mgmt\.sock/);
    assert.is(stdout.includes('stopped'), tries === 0);
  }
  assert.is(await system.output(`cat ${dropIn}`), own.trim());
  await system.output(`rm ${dropIn}; systemctl reset-failed "iotedge-modules*"`);
  await succeed(system, 'config apply');
});

test('config apply fails when the Module Runtime has failed, with what to do', async (system) => {
  const failing = '/run/systemd/system/iotedge-modules.service.d/failing.conf';
  await system.write(failing, "[Service]\nExecStart=\nExecStart=/bin/sh -c 'exit 78'\n");
  await system.output('systemctl daemon-reload; systemctl stop iotedge-keys.service');
  await iotedgectl(system, 'system restart modules');
  await system.output(`rm ${failing}; systemctl daemon-reload`);
  const { code, stdout } = await iotedgectl(system, 'config apply');
  assert.is(code, 1);
  assert.match(stdout, /has failed \(.*status 78\).*'iotedgectl system restart modules' starts it/);
  await succeed(system, 'system restart modules');
  await succeed(system, 'config apply');
});

test('config apply leaves a Module Runtime alone that an administrator has masked', async (system) => {
  await system.output('systemctl mask --runtime --now iotedge-modules.service');
  await succeed(system, 'config apply');
  await system.output('systemctl unmask --runtime iotedge-modules.service');
  await succeed(system, 'system restart modules');
});

test('config apply mends the other states when one is not to be touched', async (system) => {
  await system.output('mkdir -p /srv/open/state && chmod 777 /srv/open');
  await system.write('/etc/iotedge/keys.yaml', 'homedir_path: /srv/open/state\n');
  await system.output('touch /var/lib/iotedge/identity/restored');
  const { code, stdout } = await iotedgectl(system, 'config apply');
  assert.is(code, 1);
  assert.match(stdout, /state is not touched, since others can write \/srv\/open/);
  assert.is(
    await system.output('stat -c %U /var/lib/iotedge/identity/restored'),
    'iotedge-identity',
  );
  await system.write('/etc/iotedge/keys.yaml', 'log_level: info\n');
  await succeed(system, 'config apply');
});

/** An engine that lists the containers of a file from the second time on. */
const engine = `const { readFileSync } = require('node:fs');
let lists = 0;
require('node:http').createServer(({ url }, response) => {
  const isList = url.startsWith('/containers/json?all') && url.includes('Edge.Agent');
  response.end(isList && lists++ > 0 ? readFileSync('/opt/engine/list') : '[]');
}).listen('/run/docker.sock');
`;

test('system prepare-image removes nothing when a module was started meanwhile', async (system) => {
  const create = 'org.iotedge.Keys1 /org/iotedge/Keys1 org.iotedge.Keys1 CreateKey ssasa{sv}';
  await system.output(`busctl call ${create} kept aes-256 0 0`);
  const labels = {
    'net.azure-devices.edge.owner': 'Microsoft.Azure.Devices.Edge.Agent',
    'org.iotedge.module': 'sensor',
  };
  const list = [{ Id: '1', State: 'running', Names: ['/renamed'], Labels: labels }];
  await system.write('/opt/engine/list', JSON.stringify(list));
  await system.write('/opt/engine/engine.cjs', engine);
  await system.output('systemctl stop iotedge-modules.service'); // it lists containers, too
  await system.output(
    'systemd-run --unit=engine /usr/lib/iotedge/bin/node /opt/engine/engine.cjs; until test -e /run/docker.sock; do sleep 0.1; done',
  );
  const { code, stderr } = await iotedgectl(system, 'system prepare-image --yes');
  assert.is(code, 4, await system.output('journalctl -u engine.service; ls -l /run/docker.sock'));
  assert.match(stderr, /modules run: sensor;.*; nothing is removed;/);
  assert.is(await system.output('ls /var/lib/iotedge/keys/keys | wc -l'), '1');
  await system.output('systemctl stop engine.service; rm -f /run/docker.sock');
  const [undo = ''] = /systemctl --runtime unmask [^']*/.exec(stderr) ?? [];
  await system.output(undo);
  await succeed(system, 'system restart');
  await system.output('systemctl start iotedge-certificates.timer iotedge-identity.timer');
});

test('system prepare-image empties the other states when one resists, and succeeds afterwards', async (system) => {
  await system.write('/etc/iotedge/identity.yaml', 'homedir_path: /usr/lib/iotedge\n');
  const refused = await iotedgectl(system, 'system prepare-image --yes');
  assert.is(refused.code, 1);
  assert.match(refused.stderr, 'config check');
  await system.output('rm /etc/iotedge/identity.yaml');
  const busy = '/var/lib/iotedge/certificates/busy';
  await system.output(`mkdir ${busy} && mount -t tmpfs none ${busy}`);
  const { code, stdout } = await iotedgectl(system, 'system prepare-image --yes');
  assert.is(code, 1);
  assert.match(stdout, /EBUSY/);
  assert.not.match(stdout, 'power off');
  assert.is(
    await system.output('find /var/lib/iotedge/{keys,identity,modules} -type f | wc -l'),
    '0',
  );
  await system.output(`umount ${busy}`);
  assert.match(await succeed(system, 'system prepare-image --yes'), 'power off');
  await system.reboot();
});

test('system prepare-image removes what tells the device from another, and nothing starts before the next boot', async (system) => {
  const create = 'org.iotedge.Keys1 /org/iotedge/Keys1 org.iotedge.Keys1 CreateKey ssasa{sv}';
  await system.output(`busctl call ${create} mine aes-256 0 0`);
  assert.is((await iotedgectl(system, 'system prepare-image')).code, 2);
  const inState = '/var/lib/iotedge/keys/inside.pin';
  for (const file of ['/etc/credstore/iotedge-keys.pin', '/root/other.pin', inState]) {
    await system.write(file, '1234', '0600');
  }
  const credential = `[Service]\nLoadCredential=other:/root/other.pin\nLoadCredential=inside:${inState}\n`;
  await system.write('/etc/systemd/system/iotedge-keys.service.d/pin.conf', credential);
  await system.output('systemctl daemon-reload');
  const published = '/var/lib/iotedge/published/web';
  const publish = `mkdir ${published} && touch ${published}/fullchain.pem`;
  await system.output(publish, { user: 'iotedge-certificates' });
  const planned = await succeed(system, 'system prepare-image --dry-run');
  assert.match(planned, /would be done: keys: \d+ files removed/);
  assert.match(planned, /would be done: certificates: 2 files removed from \S+published$/m);
  assert.not.match(planned, /credential \S+ removed/);
  assert.match(planned, /left: credentials .*--credentials removes them: \S+\.pin, \S+\.pin$/m);
  assert.is(await system.output('ls /var/lib/iotedge/keys/keys | wc -l'), '1');
  const stdout = await succeed(system, 'system prepare-image --yes --credentials');
  for (const file of ['/etc/credstore/iotedge-keys.pin', '/root/other.pin']) {
    assert.match(stdout, `credential ${file} removed`);
    assert.is((await system.run(['test', '-e', file])).code, 1);
  }
  await system.output('rm /etc/systemd/system/iotedge-keys.service.d/pin.conf');
  assert.match(stdout, /keys: \d+ files removed from \/var\/lib\/iotedge\/keys/);
  assert.match(stdout, 'power off');
  assert.is(await system.output('find /var/lib/iotedge -type f | wc -l'), '0');
  assert.is((await system.run(`busctl call ${create} mine aes-256 0 0`)).code, 1);
  assert.is(await system.output('find /var/lib/iotedge -type f | wc -l'), '0');
  await system.reboot();
  await system.output(`busctl call ${create} mine aes-256 0 0`);
});

test.run();
