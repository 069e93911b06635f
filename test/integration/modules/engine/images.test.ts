/** The image of a module by pull policy and digest, with a real engine and a real registry. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../../support/deadline.ts';
import { ModulesRig, type RawCall } from '../../../support/engine/modules-rig.ts';
import { foreignDigest, Registry } from '../../../support/engine/registry.ts';

interface Context {
  device: ModulesRig;
  registry: Registry;
  /** Reference of the module's image at the registry. */
  reference: string;
}

const test = suite<Context>('module images');
const { image } = ModulesRig;
const named: RawCall = { signature: 'sa{sv}', body: ['sensor', {}] };

function creation(config: object): RawCall {
  const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
  const body = ['sensor', 'docker', JSON.stringify({ createOptions, ...config }), {}, {}];
  return { signature: 'sssa{ss}a{sv}', body };
}

/** Creates an image that differs from all others only in its label. */
async function anotherImage(device: ModulesRig, mark: string): Promise<string> {
  const container = await device.machine.docker('create', image);
  await device.machine.docker('commit', '--change', `LABEL mark=${mark}`, container, 'other:1');
  await device.machine.docker('rm', container);
  return 'other:1';
}

/** The mark of the image of the module's container. */
async function mark(device: ModulesRig): Promise<string> {
  const made = await device.machine.docker('inspect', '--format', '{{.Image}}', 'sensor');
  return await device.machine.docker('inspect', '--format', '{{.Config.Labels.mark}}', made);
}

async function created(device: ModulesRig, config: object): Promise<string> {
  await device.invoke('CreateModule', creation(config));
  return String((await device.untilState('sensor', 'created'))['LastError']);
}

/** Points the engine's reference to another image, as if that of the registry had moved since. */
async function movedBack(device: ModulesRig, reference: string): Promise<void> {
  await device.machine.docker('tag', await anotherImage(device, 'old'), reference);
}

test.before(async (context) => {
  context.device = await ModulesRig.start({ agent: undefined });
  context.registry = await Registry.start(context.device.machine, 5003);
  context.reference = `${context.registry.address}/sensor:1`;
  await context.registry.push(await anotherImage(context.device, 'new'), context.reference);
});

test.after.each(async ({ device }) => {
  await device.errorOf('DeleteModule', named);
});

test.after(async ({ device, registry }) => {
  await registry?.[Symbol.asyncDispose]();
  await device?.[Symbol.asyncDispose]();
});

test('queries the registry for a tag when a module is created, and not when its container is recreated', async ({
  device,
  reference,
}) => {
  await movedBack(device, reference);
  assert.is(await created(device, { image: reference, imagePullPolicy: 'On-Create' }), '');
  assert.is(await mark(device), 'new');
  await movedBack(device, reference);
  const made = ['inspect', '--format', '{{.Id}}', 'sensor'] as const;
  const before = await device.machine.docker(...made);
  await device.machine.docker('rm', 'sensor');
  await until(60_000, 'another container', async () => {
    const after = await device.machine.docker(...made).catch(() => before);
    return after !== before;
  });
  assert.is(await mark(device), 'old');
});

test('treats null as not set', async ({ device, reference }) => {
  const absent = { digest: null, imagePullPolicy: null, auth: null, restart_policy: null };
  assert.is(await created(device, { image: reference, ...absent }), '');
});

test('never queries the registry when the policy is never', async ({ device, reference }) => {
  await movedBack(device, reference);
  assert.is(await created(device, { image: reference, imagePullPolicy: 'NEVER' }), '');
  assert.is(await mark(device), 'old');
  await device.invoke('DeleteModule', named);
  const unknown = creation({ image: 'localhost/absent:1', imagePullPolicy: 'never' });
  assert.is(await device.errorOf('CreateModule', unknown), 'NotFound');
});

test('creates a module only from the image of its digest', async ({
  device,
  registry,
  reference,
}) => {
  const digest = await registry.push(await anotherImage(device, 'pinned'), reference);
  await movedBack(device, reference);
  assert.is(await created(device, { image: reference, digest }), '');
  assert.is(await mark(device), 'pinned');
  await device.invoke('DeleteModule', named);
  const foreign = creation({ image: reference, digest: foreignDigest });
  assert.is(await device.errorOf('CreateModule', foreign), 'InvalidArgs');
  const contradiction = creation({ image: `${reference}@${digest}`, digest: foreignDigest });
  assert.is(await device.errorOf('CreateModule', contradiction), 'InvalidArgs');
  const present = { image: reference, digest: foreignDigest, imagePullPolicy: 'never' };
  assert.is(await device.errorOf('CreateModule', creation(present)), 'NotFound');
});

test('refuses a malformed policy or digest with InvalidArgs', async ({ device }) => {
  for (const wrong of [
    { imagePullPolicy: 'always' },
    { imagePullPolicy: 1 },
    { digest: 'latest' },
    { digest: `sha256:${'A'.repeat(64)}` },
    { digest: 7 },
  ]) {
    const code = await device.errorOf('CreateModule', creation({ image, ...wrong }));
    assert.is(code, 'InvalidArgs', JSON.stringify(wrong));
  }
});

test('treats a refusal of the registry as final, even if the engine has an image', async ({
  device,
  registry,
}) => {
  const local = `${registry.address}/local:1`;
  await device.machine.docker('tag', image, local);
  assert.is(await device.errorOf('CreateModule', creation({ image: local })), 'NotFound');
});

test('uses the image in the engine when the registry does not respond, and reports it', async ({
  device,
  registry,
  reference,
}) => {
  const digest = await registry.push(await anotherImage(device, 'new'), reference);
  await device.machine.docker('pull', `${reference.replace(/:1$/, '')}@${digest}`);
  await registry[Symbol.asyncDispose]();
  const warning = /^the image .* that the engine has is used: pulling .*refused/;
  assert.match(await created(device, { image: reference }), warning);
  await device.invoke('DeleteModule', named);
  const pinned = { image: `${reference.replace(/:1$/, '')}@${digest}` };
  assert.is(await created(device, pinned), '');
  await device.invoke('DeleteModule', named);
  assert.is(await created(device, { image: reference, digest }), '');
  await device.invoke('DeleteModule', named);
  const absent = creation({ image: `${registry.address}/absent:1` });
  assert.is(await device.errorOf('CreateModule', absent), 'Unavailable');
});

test.run();
