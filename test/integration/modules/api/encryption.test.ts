/** Encryption by modules, with all services. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import { requestOn, type WorkloadResponse } from '../../../support/workload/api.ts';

interface Context {
  device: ModulesRig;
}

const test = suite<Context>('encryption by modules');
const { image } = ModulesRig;
const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };

test.before(async (context) => {
  const device = await ModulesRig.start({ agent: { config: { image, createOptions } } });
  context.device = device;
  await device.agentRuns();
  const config = JSON.stringify({ image, createOptions });
  await device.succeed('CreateModule', ['sssa{ss}a{sv}', 'sensor', 'docker', config, '0', '0']);
  await device.succeed('Start', ['sa{sv}', 'sensor', '0']);
  await device.untilState('sensor', 'running');
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

function ask(
  device: ModulesRig,
  module: string,
  verb: 'encrypt' | 'decrypt',
  body: object,
): Promise<WorkloadResponse> {
  const id = module === 'edgeAgent' ? '$edgeAgent' : module;
  const all = [...device.cloud.registry.modules.values()].flatMap((modules) => [...modules]);
  const generation = all.find(([one]) => one === id)?.[1].generationId ?? '';
  const path = `/modules/${encodeURIComponent(id)}/genid/${generation}/${verb}`;
  const socket = join(device.rig.stateDirectory('modules'), 'mnt', module, 'workload.sock');
  return requestOn(socket, 'POST', `${path}?api-version=2019-01-30`, body);
}

function base64(bytes: number): string {
  return randomBytes(bytes).toString('base64');
}

const vectors: Readonly<Record<string, string>> = {
  'no bytes': '',
  'one byte': base64(1),
  'as long as a nonce': base64(12),
  'a text with a line end': Buffer.from('edgeAgent\n').toString('base64'),
  'as the agent makes one': Buffer.from('0d3b1f4a-6f2c-4a4e-9f0e-5a1b8f1b1a11').toString('base64'),
  'the longest': base64(1024),
};

for (const [name, initializationVector] of Object.entries(vectors)) {
  test(`decrypts with the vector of the encryption: ${name}`, async ({ device }) => {
    for (const plaintext of ['', base64(1), base64(70_000)]) {
      const sealed = await ask(device, 'sensor', 'encrypt', { plaintext, initializationVector });
      assert.is(sealed.status, 200);
      const { ciphertext } = sealed.json;
      const request = { ciphertext, initializationVector };
      const opened = await ask(device, 'sensor', 'decrypt', request);
      assert.equal([opened.status, opened.json['plaintext']], [200, plaintext]);
    }
  });
}

test('refuses another vector, another module and a modified ciphertext', async ({ device }) => {
  const plaintext = base64(100);
  const initializationVector = base64(16);
  const sealed = await ask(device, 'sensor', 'encrypt', { plaintext, initializationVector });
  const { ciphertext } = sealed.json;
  const longer = Buffer.from(
    `${Buffer.from(initializationVector, 'base64').toString('latin1')}\0`,
    'latin1',
  );
  const changed = Buffer.from(String(ciphertext), 'base64');
  changed[40] = (changed[40] ?? 0) ^ 1;
  const refused: readonly (readonly [string, object])[] = [
    ['sensor', { ciphertext, initializationVector: '' }],
    ['sensor', { ciphertext, initializationVector: longer.toString('base64') }],
    ['edgeAgent', { ciphertext, initializationVector }],
    ['sensor', { ciphertext: changed.toString('base64'), initializationVector }],
  ];
  for (const [module, body] of refused) {
    const { status, json } = await ask(device, module, 'decrypt', body);
    assert.is(status, 400);
    assert.type(json['message'], 'string');
  }
});

test('decrypts the longest ciphertext that it creates, and responds with 413 to a longer one', async ({
  device,
}) => {
  const initializationVector = base64(16);
  const plaintext = base64(1 << 20);
  const sealed = await ask(device, 'sensor', 'encrypt', { plaintext, initializationVector });
  assert.is(sealed.status, 200);
  const { ciphertext } = sealed.json;
  const opened = await ask(device, 'sensor', 'decrypt', { ciphertext, initializationVector });
  assert.is(opened.status, 200);
  assert.ok(opened.json['plaintext'] === plaintext);
  const more = { plaintext: base64((1 << 20) + 1), initializationVector };
  assert.is((await ask(device, 'sensor', 'encrypt', more)).status, 413);
});

test.run();
