import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fileSpec } from '../../../../src/cli/modules/spec/document.ts';
import { isServiceError } from '../../../../src/errors.ts';

const test = suite<{ dir: string }>('files that describe a module');

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-module-file-'));
});
test.after.each(({ dir }) => rm(dir, { recursive: true }));

async function spec(dir: string, text: string | object, name = 'sensor') {
  const file = join(dir, 'module');
  await writeFile(file, typeof text === 'string' ? text : JSON.stringify(text));
  return fileSpec({ options: { file } }, name);
}

/** The message of the refusal of a file. */
async function refusal(dir: string, text: string | object, name?: string): Promise<string> {
  const error = await spec(dir, text, name).catch((thrown: unknown) => thrown);
  if (!isServiceError(error, 'InvalidArgs')) throw error;
  return error.message;
}

const options = { HostConfig: { Memory: 5 } };

test('are read as the configuration of the runtime, in YAML or JSON', async ({ dir }) => {
  const yaml = `
image: a:1
restart_policy: never
createOptions: {HostConfig: {Memory: 5}}
env: {VERSION: 1.10, ON: true, EMPTY:}
`;
  const expected = {
    type: 'docker',
    config: { image: 'a:1', restart_policy: 'never', createOptions: options },
  };
  assert.equal(await spec(dir, yaml), {
    ...expected,
    env: { VERSION: '1.10', ON: 'true', EMPTY: '' },
  });
  const config = { ...expected.config, createOptions: JSON.stringify(options) };
  assert.equal(await spec(dir, config), { ...expected, env: {} });
  const tabs = JSON.stringify({ ...config, env: { A: 1 } }, undefined, '\t');
  assert.equal(await spec(dir, `\ufeff${tabs}`), { ...expected, env: { A: '1' } });
});

test('are read as a ModuleSpec of the management API', async ({ dir }) => {
  const document = {
    name: 'sensor',
    type: 'docker',
    imagePullPolicy: 'On-Create',
    config: {
      settings: { image: 'a:1', createOptions: options, auth: { username: 'u', password: 'p' } },
      env: [{ key: 'A', value: '1' }],
    },
  };
  const found = await spec(dir, document);
  assert.equal(found?.env, { A: '1' });
  assert.equal(found?.config, {
    ...document.config.settings,
    imagePullPolicy: 'On-Create',
  });
  assert.match(await refusal(dir, document, 'other'), 'of module "sensor", not of "other"');
});

const module = {
  version: '1.0',
  type: 'docker',
  status: 'running',
  restartPolicy: 'on-unhealthy',
  imagePullPolicy: 'never',
  env: { A: { value: '1' } },
  settings: {
    image: 'registry.example/a:1',
    createOptions: '{"HostConfig":',
    createOptions01: '{"Memory":5}}',
  },
};
const manifest = {
  modulesContent: {
    $edgeAgent: {
      'properties.desired': {
        runtime: {
          settings: {
            registryCredentials: {
              other: { address: 'registry.example.other', username: 'o', password: 'hunter1' },
              ours: { address: 'registry.example', username: 'u', password: 'hunter2' },
            },
          },
        },
        systemModules: { edgeHub: { type: 'docker', settings: { image: 'hub:1' } } },
        modules: { sensor: module },
      },
    },
  },
};
const fromDeployment = {
  type: 'docker',
  config: {
    image: 'registry.example/a:1',
    createOptions: options,
    restart_policy: 'on-unhealthy',
    imagePullPolicy: 'never',
  },
  env: { A: '1' },
};

test('are read as a module of a deployment', async ({ dir }) => {
  assert.equal(await spec(dir, module), fromDeployment);
});

test('are read as a deployment manifest, with the credentials of the registry', async ({ dir }) => {
  const auth = { serveraddress: 'registry.example', username: 'u', password: 'hunter2' };
  const expected = { ...fromDeployment, config: { ...fromDeployment.config, auth } };
  assert.equal(await spec(dir, manifest), expected);
  assert.equal(await spec(dir, { content: manifest }), expected);
  const layered = {
    modulesContent: { $edgeAgent: { 'properties.desired.modules.sensor': module } },
  };
  assert.equal(await spec(dir, layered), fromDeployment);
  assert.is((await spec(dir, manifest, 'edgeHub'))?.config['image'], 'hub:1');
  assert.match(await refusal(dir, manifest, 'x'), /no module "x": it has edgeHub, sensor$/);
});

test('are refused without a word of what is in them', async ({ dir }) => {
  const secret = '{"auth":{"password":"hunter2"}, "image": hunter2, }';
  const refusals = [
    await refusal(dir, '[hunter2]'),
    await refusal(dir, `${secret}}`),
    await refusal(dir, { image: 'a', createOptions: '{"Env":["A=hunter2"]' }),
    await refusal(dir, { image: 'a', env: { A: ['hunter2'] } }),
    await refusal(dir, { image: 'a', env: 'hunter2' }),
    await refusal(dir, { other: 'hunter2' }),
    await refusal(dir, { settings: { image: 'a' }, env: [{ value: 'hunter2' }] }),
  ];
  for (const text of refusals) {
    assert.not.match(text, 'hunter2');
    assert.match(text, join(dir, 'module'));
  }
  assert.match(await refusal(dir, 'image: [\n'), /module:\d+:\d+: /);
  const template = { ...manifest.modulesContent.$edgeAgent['properties.desired'] };
  const variable = { ...module, settings: { image: '${REGISTRY}/a:1' } };
  const text = await refusal(dir, {
    modulesContent: {
      $edgeAgent: { 'properties.desired': { ...template, modules: { sensor: variable } } },
    },
  });
  assert.match(text, 'template');
});

test.run();
