import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { bootedSuite } from '../../support/boot/booted-suite.ts';
import type { BootedSystem } from '../../support/boot/booted-system.ts';
import { until, untilFound } from '../../support/deadline.ts';

const test = bootedSuite('sockets and sandbox of installed services');
const unit = 'iotedge-modules.service';
const agentSocket = '/var/lib/iotedge/modules/mnt/edgeAgent/workload.sock';
const configuration = `agent: {name: edgeAgent, type: docker, config: {image: 'localhost/agent:1'}}
`;

/** What a service that has a network may lack; this system has none either. */
const network = ['private_network'];

/** Prints the status and the body of a response, whatever it is. */
const client = `
const [socketPath] = process.argv.slice(1);
const request = require('node:http').get({ socketPath, path: '/modules?api-version=2018-06-28' });
request.on('response', (response) => {
  process.stdout.write(response.statusCode + ' ');
  response.pipe(process.stdout);
});
request.on('error', (error) => console.log(error.code));
`;

function ask(system: BootedSystem, path: string): Promise<string> {
  return system.output(['/usr/lib/iotedge/bin/node', '-e', client, path]);
}

test('are accepted where the socket units bound them, and serve their APIs', async (system) => {
  const units = ['iotedge-modules-management.socket', 'iotedge-modules-workload.socket'];
  await system.output(['systemctl', 'start', ...units]);
  const listens = await system.output(['systemctl', 'show', '-p', 'Listen', ...units]);
  const paths = [...listens.matchAll(/^Listen=(\S+)/gm)].map(([, path = '']) => path);
  assert.is(paths.length, 2);
  const replies = await Promise.all(paths.map((path) => ask(system, path)));
  // root manages modules, and is none of them
  assert.equal(
    replies.map((reply) => reply.slice(0, 3)).toSorted(),
    ['200', '403'],
    replies.join(' '),
  );
});

test('refuse where listen of modules.yaml does not say so, rather than leave clients waiting', async (system) => {
  const socketUnit = 'iotedge-modules-workload.socket';
  const directory = `/etc/systemd/system/${socketUnit}.d`;
  const moved = '[Socket]\nListenStream=\nListenStream=/run/elsewhere.sock\n';
  await system.write(`${directory}/test.conf`, moved);
  const restart = async (): Promise<void> => {
    await system.output(['systemctl', 'daemon-reload']);
    await system.output(['systemctl', 'stop', unit, socketUnit]);
    await system.output(['systemctl', 'start', socketUnit, unit]);
  };
  await restart();
  const reply = await ask(system, '/run/elsewhere.sock');
  assert.match(reply, /^503 \{"message":"listen of modules.yaml .* run 'iotedgectl config apply'"/);
  const warning = await untilFound(10_000, 'a warning', async () => {
    const records = await system.journal(`_SYSTEMD_UNIT=${unit}`, 'PRIORITY=4');
    return records.find(({ MESSAGE }) => String(MESSAGE).startsWith('passed socket refuses'));
  });
  assert.match(String(warning['MESSAGE']), 'path=/run/elsewhere.sock');
  await system.output(['rm', '-r', directory]);
  await restart();
});

test('of modules stay during a restart: a module that connects waits for its response', async (system) => {
  await system.write('/etc/iotedge/modules.yaml', configuration);
  await system.output(['systemctl', 'restart', unit]);
  await until(20_000, 'the socket', async () => (await ask(system, agentSocket)) !== 'ENOENT');
  const before = await ask(system, agentSocket);
  assert.match(before, /^\d{3} /);
  const stored = (await system.unit(unit))['NFileDescriptorStore'];
  assert.is(stored, '2'); // the agent has one of each API
  const restarted = system.output(['systemctl', 'restart', unit]);
  const results: string[] = [];
  for (let times = 0; times < 10; times++) {
    results.push(await ask(system, agentSocket));
    await sleep(100);
  }
  await restarted;
  for (const result of results) assert.match(result, /^\d{3} /);
  assert.is((await system.unit(unit))['NFileDescriptorStore'], '2');
});

for (const service of ['Keys', 'Certificates', 'Identity', 'Modules'] as const) {
  test(`are missing nothing of the sandbox of ${service}, as it states itself`, async (system) => {
    const [json] = await system.call(service, 'Describe');
    const { sandbox } = JSON.parse(String(json)) as {
      readonly sandbox: Readonly<Record<string, boolean>>;
    };
    const left: Readonly<Record<typeof service, readonly string[]>> = {
      Keys: [],
      Certificates: network,
      Identity: network,
      Modules: ['private_users'],
    };
    const isExpected = (part: string): boolean => left[service].includes(part);
    const missing = Object.keys(sandbox).filter((part) => sandbox[part] !== true);
    assert.equal(
      missing.filter((part) => !isExpected(part)),
      [],
    );
    const name = `iotedge-${service.toLowerCase()}.service`;
    await untilFound(10_000, 'the record of the sandbox', async () => {
      const records = await system.journal(`_SYSTEMD_UNIT=${name}`);
      return records.find(({ MESSAGE }) => String(MESSAGE).startsWith('sandbox in force'));
    });
  });
}

test.run();
