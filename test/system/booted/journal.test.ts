import * as assert from 'uvu/assert';
import { bootedSuite } from '../../support/boot/booted-suite.ts';
import type { BootedSystem } from '../../support/boot/booted-system.ts';
import { until, untilFound } from '../../support/deadline.ts';

const test = bootedSuite('a journal that does not read');
const unit = 'iotedge-modules.service';
const socket = '/var/lib/iotedge/modules/mnt/edgeAgent/workload.sock';
const configuration = `log_level: debug
agent: {name: edgeAgent, type: docker, config: {image: 'localhost/agent:1'}}
`;

/** Sends requests, each of which is logged; prints how many got a response. */
const client = `
const [socketPath, count] = process.argv.slice(1);
const http = require('node:http');
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
const options = { socketPath, agent, path: '/modules?api-version=2018-06-28', timeout: 20_000 };
const ask = () => new Promise((resolve) => {
  const request = http.get(options, (response) => response.resume().on('end', () => resolve(true)));
  request.on('timeout', () => request.destroy(new Error('late')));
  request.on('error', () => resolve(false));
});
let started = 0;
let answered = 0;
const askMany = async () => {
  while (started++ < Number(count) && (await ask())) answered++;
};
Promise.all(Array.from({ length: 8 }, askMany)).then(() => console.log(String(answered)));
`;

function answered(system: BootedSystem, count: number): Promise<string> {
  const command = ['/usr/lib/iotedge/bin/node', '-e', client, socket, String(count)];
  return system.output(command, { timeoutMs: 60_000 });
}

test('delays no request, and the records that it did not accept are counted', async (system) => {
  await system.write('/etc/iotedge/modules.yaml', configuration);
  await system.output(['systemctl', 'restart', unit]);
  await until(20_000, 'the socket', async () => (await answered(system, 1)).trim() === '1');
  const journald = (await system.unit('systemd-journald.service'))['MainPID'] ?? '';
  await system.output(['kill', '-STOP', journald]);
  let count = '';
  try {
    // more than the kernel queues for the journal
    count = await answered(system, 40_000);
  } finally {
    await system.output(['kill', '-CONT', journald]);
  }
  assert.is(count.trim(), '40000');
  const lost = await untilFound(20_000, 'the count', async () => {
    const records = await system.journal(`_SYSTEMD_UNIT=${unit}`, 'PRIORITY=4');
    return records.find(({ MESSAGE }) => String(MESSAGE).startsWith('records were dropped'));
  });
  assert.match(String(lost['MESSAGE']), /count=\d+$/);
});

test.run();
