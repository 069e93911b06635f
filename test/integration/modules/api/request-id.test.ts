/** Traces of one request in the journals of all four services. */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../../src/dbus/client/client.ts';
import { logControlInterface, logControlPath } from '../../../../src/dbus/server/log-control.ts';
import { identityInterface, identityService } from '../../../../src/interfaces/identity.ts';
import { modulesInterface, modulesService } from '../../../../src/interfaces/modules.ts';
import { until } from '../../../support/deadline.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import { runnable } from '../../../support/not-runnable.ts';
import { type ServiceName, services } from '../../../support/rig/rig-services.ts';

const test = suite('request ids across services');
const engineTest = runnable('container-engine', test);
const names: readonly ServiceName[] = ['keys', 'certificates', 'identity', 'modules'];

/** Waits until each service has logged a call of this member for the request. */
async function untilLogged(
  { rig }: ModulesRig,
  requestId: string,
  calls: Readonly<Partial<Record<ServiceName, string>>>,
): Promise<void> {
  for (const name of names) {
    const member = calls[name];
    if (member === undefined) continue;
    const isCall = (line: string): boolean =>
      line.includes('call received') &&
      line.includes(` member=${member} `) &&
      line.split(' ').includes(`requestId=${requestId}`);
    await until(10_000, `${member} of ${requestId} in the journal of ${name}`, async () =>
      (await rig.log(name)).split('\n').some(isCall),
    );
  }
}

/** Sets the debug level like `systemctl service-log-level`. */
async function logEverything({ rig }: ModulesRig): Promise<void> {
  for (const name of names) {
    const to = [services[name].busName, logControlPath, logControlInterface.name];
    const { code, stderr } = await rig.busctl(['set-property', ...to, 'LogLevel', 's', 'debug']);
    assert.is(code, 0, stderr);
  }
}

engineTest('are the same in the journals of all four', async () => {
  await using device = await ModulesRig.start({});
  const { rig } = device;
  await using bus = await rig.connect();
  const patient = { timeoutMs: 120_000 };
  const identity = client(bus, identityService, identityInterface);
  await identity.Provision({}, patient);
  await rig.stop('identity'); // with its open connections
  await logEverything(device);

  await identity.Reprovision({}, { ...patient, requestId: 'walk-provision' });
  await untilLogged(device, 'walk-provision', {
    identity: 'Reprovision',
    certificates: 'GetCertificate',
    keys: 'Sign', // of the TLS connection
  });

  const modules = client(bus, modulesService, modulesInterface);
  const config_json = JSON.stringify({ image: ModulesRig.image });
  const creation = { name: 'sensor', type: 'docker', config_json, env: {} };
  await modules.CreateModule(creation, { ...patient, requestId: 'walk-create' });
  await untilLogged(device, 'walk-create', {
    modules: 'CreateModule',
    identity: 'CreateModuleIdentity',
    certificates: 'GetCertificate',
    keys: 'ExportKey', // the keys of the module
  });

  const token = { module_id: 'sensor', audience: '', lifetime_s: 60 };
  await identity.CreateSasToken(token, { ...patient, requestId: 'walk-token' });
  await untilLogged(device, 'walk-token', { identity: 'CreateSasToken', keys: 'Sign' });
});

engineTest('has an id of its own for each request of a module', async () => {
  await using device = await ModulesRig.start({});
  const { rig } = device;
  await logEverything(device);
  await using bus = await rig.connect();
  const config_json = JSON.stringify({ image: ModulesRig.image });
  const modules = client(bus, modulesService, modulesInterface);
  const creation = { name: 'sensor', type: 'docker', config_json, env: {} };
  await modules.CreateModule(creation, { timeoutMs: 120_000 });
  const identity = client(bus, identityService, identityInterface);
  const { identity: own } = await identity.GetModuleIdentity({ module_id: 'sensor' });
  const socket = join(rig.stateDirectory('modules'), 'mnt/sensor/workload.sock');
  const base = `http://localhost/modules/sensor/genid/${own.generation_id}`;
  const ask = (path: string, body: object) =>
    rig.run(
      'curl',
      ['-sf', '--unix-socket', socket, '--json', JSON.stringify(body)].concat(
        `${base}/${path}?api-version=2019-01-30`,
      ),
    );
  assert.is((await ask('sign', { keyId: 'primary', algo: 'HMACSHA256', data: 'AA==' })).code, 0);
  assert.is((await ask('certificate/server', { commonName: 'sensor' })).code, 0);
  const idOf = async (path: string): Promise<string> => {
    let id: string | undefined;
    await until(10_000, `the request for ${path} in the journal`, async () => {
      const lines = (await rig.log('modules')).split('\n');
      const line = lines.find((one) => one.includes('workload request') && one.includes(path));
      id = /requestId=(\S+)/.exec(line ?? '')?.[1];
      return id !== undefined;
    });
    return id ?? '';
  };
  await untilLogged(device, await idOf('/sign'), { keys: 'Sign' });
  const calls = { certificates: 'Issue', keys: 'Sign' };
  await untilLogged(device, await idOf('/certificate/server'), calls);
});

test.run();
