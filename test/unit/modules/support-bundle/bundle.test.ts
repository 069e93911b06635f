import { getEventListeners } from 'node:events';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../src/errors.ts';
import { parseModuleName } from '../../../../src/ids.ts';
import { type BundleParts, bundleEntries } from '../../../../src/modules/support-bundle/bundle.ts';
import { SupportBundles } from '../../../../src/modules/support-bundle/support-bundles.ts';
import { codeOf, failureOf } from '../../../support/failure.ts';
import { via } from '../../../support/via.ts';

const test = suite('support bundle');
const all = { since: undefined, until: undefined, runtimeOnly: false };

async function* textOf(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}

const parts: BundleParts = {
  modules: () => ['edgeAgent', 'edgeHub', 'sensor'].map(parseModuleName),
  runtimeModules: () => ['edgeAgent', 'edgeHub'],
  configuration: () => ({ agent: { env: { KEY: 'hunter2' } } }),
  descriptions: {
    keys: async () => '{"service":"keys","auth":"sas"}',
    modules: async () => {
      throw new ServiceError('Unavailable', 'it does not respond');
    },
  },
  checks: async () => ({ checks: {} }),
  log: (module) => textOf(`log of ${module}`),
  inspect: async (module) => ({ Name: module, Config: { Env: ['KEY=hunter2'] } }),
  networks: async () => [{ Name: 'azure-iot-edge' }, { Name: '../../etc/passwd' }],
  journal: (unit) => textOf(`journal of ${unit}`),
};

/** The files of a bundle, by their names. */
async function files(some: Partial<BundleParts> = {}, request = all, by = via) {
  const found = new Map<string, string>();
  for await (const { name, content } of bundleEntries({ ...parts, ...some }, request, by)) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of content) chunks.push(chunk);
    found.set(name, Buffer.concat(chunks).toString());
  }
  return found;
}

test('has descriptions, the configuration, journals, logs, containers and networks', async () => {
  const found = await files();
  assert.equal(
    [...found.keys()],
    [
      'check.json',
      'describe/keys.json',
      'describe/modules.json',
      'config/modules.json',
      'logs/iotedge-keys.txt',
      'logs/iotedge-modules.txt',
      'logs/edgeAgent_log.txt',
      'inspect/edgeAgent.json',
      'logs/edgeHub_log.txt',
      'inspect/edgeHub.json',
      'logs/sensor_log.txt',
      'inspect/sensor.json',
      'network/azure-iot-edge.json',
      'network/1.json',
    ],
  );
  assert.match(found.get('describe/keys.json') ?? '', /"auth":"sas"/);
  assert.is(found.get('logs/iotedge-keys.txt'), 'journal of iotedge-keys.service');
  assert.not.ok([...found.values()].some((text) => text.includes('hunter2')));
});

test('contains the reason in place of what cannot be read', async () => {
  const found = await files({
    inspect: () => Promise.reject(new ServiceError('NotFound', 'no container')),
    networks: () => Promise.reject(new ServiceError('Unavailable', 'no engine')),
  });
  assert.match(found.get('describe/modules.json') ?? '', 'it does not respond');
  assert.match(found.get('inspect/sensor.json') ?? '', 'no container');
  assert.match(found.get('network/networks.json') ?? '', 'no engine');
  assert.is(found.get('logs/sensor_log.txt'), 'log of sensor');
});

test('is about the agent and the hub alone when asked to', async () => {
  const found = await files({}, { ...all, runtimeOnly: true });
  assert.not.ok([...found.keys()].some((name) => name.includes('sensor')));
  assert.ok(found.has('logs/edgeHub_log.txt'));
});

test('limits each file and all together', async () => {
  const endless = async function* () {
    for (;;) yield Buffer.alloc(1000, 'x');
  };
  const limits = { fileBytes: 2500, allBytes: 6000 };
  const found = await files({ limits, log: endless, journal: endless });
  const sizes = [...found.values()].map(({ length }) => length);
  assert.ok(sizes.every((size) => size < 2600));
  assert.ok(sizes.reduce((sum, size) => sum + size, 0) < 8000);
  assert.match(found.get('logs/sensor_log.txt') ?? '', 'left out');
});

test('ends when the client leaves', async () => {
  const abort = new AbortController();
  const log = (module: string) => {
    if (module === 'edgeHub') abort.abort(new ServiceError('Cancelled', 'left'));
    return textOf('');
  };
  const inspect = async () => {
    abort.signal.throwIfAborted();
    return {};
  };
  const by = { ...via, signal: abort.signal };
  assert.is(await failureOf(files({ log, inspect }, all, by)), 'Cancelled');
});

test('is one of two at most, until its reader leaves', async () => {
  const bundles = new SupportBundles(parts, () => new Date());
  const abort = new AbortController();
  const first = bundles.create(all, { ...via, signal: abort.signal });
  bundles.create(all, { ...via, signal: abort.signal });
  assert.is(
    codeOf(() => bundles.create(all, via)),
    'LimitsExceeded',
  );
  for await (const chunk of first) {
    assert.ok(chunk.length > 0);
    break;
  }
  assert.is(getEventListeners(abort.signal, 'abort').length, 1, 'of the one that is not read');
  bundles.create(all, { ...via, signal: abort.signal });
  assert.is(
    codeOf(() => bundles.create(all, via)),
    'LimitsExceeded',
  );
  abort.abort();
  bundles.create(all, via);
});

test.run();
