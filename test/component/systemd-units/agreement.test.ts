import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import * as assert from 'uvu/assert';
import type { ServiceDefinition } from '../../../src/dbus/definition.ts';
import { certificatesService } from '../../../src/interfaces/certificates.ts';
import { identityService } from '../../../src/interfaces/identity.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { modulesService } from '../../../src/interfaces/modules.ts';
import { modulesSchema, parseModulesConfig } from '../../../src/modules/config/config.ts';
import { longestStopMs } from '../../../src/modules/supervisor/order/stop-order.ts';
import { stateDirOf } from '../../../src/service/command-line.ts';
import { longestDrainMs } from '../../../src/service/shutdown.ts';
import { runCommand } from '../../support/command.ts';
import { loadText } from '../../support/config-texts.ts';
import { services as rigServices, unitEnvironment } from '../../support/rig/rig-services.ts';
import { UnitFile, unitsFolder } from '../../support/systemd/unit-file.ts';
import { suite } from '../../support/timed-suite.ts';

const test = suite<{ dir: string }>('units, compared with the code');

const checkout = join(import.meta.dirname, '../../../..');
const services: readonly ServiceDefinition[] = [
  keysService,
  certificatesService,
  identityService,
  modulesService,
];
const unitOf = ({ name }: Pick<ServiceDefinition, 'name'>) =>
  new UnitFile(`iotedge-${name}.service`);

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-agreement-'));
});
test.after.each(({ dir }) => rm(dir, { recursive: true }));

test('own the name of their service as its user, and run its program', () => {
  for (const service of services) {
    const unit = unitOf(service);
    assert.is(unit.value('Type'), 'dbus');
    assert.is(unit.value('BusName'), service.busName);
    assert.is(unit.value('User'), service.user);
    const [node, program = '', ...more] = unit.value('ExecStart')?.split(' ') ?? [];
    assert.equal([node, ...more], ['/usr/lib/iotedge/bin/node']);
    assert.ok(existsSync(join(checkout, 'dist/bin', basename(program))), program);
  }
});

test('set the environment in which tests run the service', () => {
  for (const name of Object.keys(rigServices) as (keyof typeof rigServices)[]) {
    const expected = Object.entries(unitEnvironment[name]).map(([key, value]) => `${key}=${value}`);
    assert.equal(unitOf({ name }).all('Environment'), expected, name);
  }
});

test('are the ones that the bus starts', () => {
  for (const { name, busName } of services) {
    const activation = readFileSync(join(checkout, `dbus-policy/${busName}.service`), 'utf8');
    const [, unit = ''] = /^SystemdService=(.*)$/m.exec(activation) ?? [];
    assert.ok(existsSync(join(unitsFolder, unit)), name);
  }
});

test('make the state directory that is the default, closed to others', () => {
  for (const service of services) {
    const unit = unitOf(service);
    const [directory = ''] = unit.value('StateDirectory')?.split(':') ?? [];
    const choices = { commandLine: undefined, config: {}, environment: {} };
    assert.is(join('/var/lib', directory), stateDirOf(service.name, choices));
    assert.is(unit.value('StateDirectoryMode'), '0700');
  }
});

test('make the state directories of existing configurations', () => {
  const linksOf = (name: string) => new UnitFile(name).value('StateDirectory')?.split(':')[1];
  assert.is(linksOf('iotedge-certificates.service'), 'iotedge/cs');
  assert.is(linksOf('iotedge-modules.service'), 'iotedge/iotedged');
});

test('leave out the parts of the sandbox that the self-check does not expect', () => {
  const directives = { private_users: 'PrivateUsers', private_network: 'PrivateNetwork' };
  for (const service of services) {
    const program = readFileSync(join(checkout, `src/${service.name}/main.ts`), 'utf8');
    const unconfined = /\n  unconfined: \[(.*)\],\n/.exec(program)?.[1]?.match(/\w+/g) ?? [];
    const left = Object.entries(directives)
      .filter(([, directive]) => unitOf(service).value(directive) !== 'yes')
      .map(([part]) => part);
    assert.equal([...unconfined], left, service.name);
  }
});

test('do not restart a service that says that a restart is useless', async ({ dir }) => {
  await writeFile(join(dir, 'keys.yaml'), 'unknown: 1\n');
  const program = join(checkout, 'dist/bin/iotedge-keys.cjs');
  const codes: (number | string)[] = [];
  for (const args of [['--unknown'], ['--config-dir', dir]])
    codes.push((await runCommand(process.execPath, [program, ...args])).code);
  for (const service of services) {
    const unit = unitOf(service);
    assert.equal(unit.value('RestartPreventExitStatus')?.split(' ').map(Number), codes);
    assert.is(unit.value('Restart'), 'on-failure');
  }
});

test('give a service the time that it takes for its end', () => {
  for (const service of services) {
    const stopS = Number.parseInt(unitOf(service).value('TimeoutStopSec') ?? '', 10);
    const modulesMs = service === modulesService ? longestStopMs : 0;
    assert.ok(stopS * 1000 > modulesMs + longestDrainMs + 5000, service.name);
  }
});

test('let restarts never reach the limit of starts, and 200 activations in a row neither', () => {
  const numberOf = (service: ServiceDefinition, name: string) =>
    Number.parseInt(unitOf(service).value(name) ?? '', 10);
  for (const service of services) {
    const burst = numberOf(service, 'StartLimitBurst');
    const restarts = numberOf(service, 'StartLimitIntervalSec') / numberOf(service, 'RestartSec');
    assert.ok(restarts < burst, service.name);
    assert.ok(service === modulesService || burst >= 200, service.name);
  }
});

test('listen where modules.yaml says by default', async ({ dir }) => {
  const form = { service: 'modules', schema: modulesSchema, parse: parseModulesConfig };
  const { listen } = await loadText(form, dir, '');
  for (const api of ['management', 'workload'] as const) {
    const unit = new UnitFile(`iotedge-modules-${api}.socket`);
    assert.is(unit.value('ListenStream'), listen[api]);
    assert.is(unit.value('FileDescriptorName'), api);
    assert.is(unit.value('Service'), 'iotedge-modules.service');
    assert.is(unit.value('SocketUser'), modulesService.user);
  }
  const sockets = unitOf(modulesService).value('Sockets')?.split(' ');
  assert.equal(sockets, ['iotedge-modules-management.socket', 'iotedge-modules-workload.socket']);
});

test('let everybody use the workload API, and one group the management API', () => {
  const management = new UnitFile('iotedge-modules-management.socket');
  assert.is(management.value('SocketMode'), '0660');
  assert.is(management.value('SocketGroup'), 'iotedge-admin');
  assert.is(new UnitFile('iotedge-modules-workload.socket').value('SocketMode'), '0666');
});

test('start at boot for the runtime alone', () => {
  const names = readdirSync(unitsFolder).filter((name) => /\.(service|socket|timer)$/.test(name));
  const enabled = names.filter((name) => new UnitFile(name).all('WantedBy').length > 0);
  assert.equal(enabled, ['iotedge-modules.service']);
});

test('start every ten minutes for what is due', () => {
  for (const name of ['certificates', 'identity'])
    assert.is(new UnitFile(`iotedge-${name}.timer`).value('OnCalendar'), '*:0/10');
});

test('need no engine, no network and no clock to start', () => {
  for (const service of services) {
    const unit = unitOf(service);
    for (const name of ['Requires', 'Requisite', 'BindsTo', 'PartOf', 'Wants'])
      assert.equal(unit.all(name), [], `${service.name} ${name}`);
    const after = unit.all('After').join(' ');
    assert.not.match(after, /network|time-|\.target/);
  }
  assert.is(unitOf(modulesService).value('After'), 'docker.service containerd.service');
});

test('have the network where the code makes connections', () => {
  for (const service of services) {
    const folder = join(checkout, 'src', service.name);
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    const connects = files
      .filter((file) => file.endsWith('.ts'))
      .some((file) => /^import \{.*'.*\/https\//m.test(readFileSync(join(folder, file), 'utf8')));
    const unit = unitOf(service);
    assert.is(unit.value('PrivateNetwork'), connects ? 'no' : 'yes', service.name);
    assert.is(/AF_INET/.test(unit.value('RestrictAddressFamilies') ?? ''), connects, service.name);
  }
});

test.run();
