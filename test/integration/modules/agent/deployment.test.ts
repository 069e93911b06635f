/**
 * The requests of an unmodified edgeAgent and edgeHub, in their order, through the life of a deployment, from their
 * containers, on a device below a gateway.
 */
import { X509Certificate } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AgentSession,
  edgeImage,
  importEdgeImage,
  startHubInContainer,
} from '../../../support/agent/agent-session.ts';
import type { Deployment, Pass } from '../../../support/agent/edge-agent.ts';
import { idOf } from '../../../support/agent/module-spec.ts';
import type { ListedModule } from '../../../support/agent/wire-forms.ts';
import type { Cloud } from '../../../support/cloud/cloud.ts';
import { passOn } from '../../../support/cloud/gateway.ts';
import { untilFound } from '../../../support/deadline.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import { Registry } from '../../../support/engine/registry.ts';
import { isSoak } from '../../../support/property.ts';
import { cloudSettings, startRigCloud } from '../../../support/rig/rig-cloud.ts';
import { deviceName } from '../../../support/rig/rig-config.ts';

interface Context {
  device: ModulesRig;
  gateway: Cloud;
  registry: Registry;
  agent: AgentSession;
}

const test = suite<Context>('an unmodified agent');
const sleeping = { Cmd: ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done'] };
const settings = {
  agent: { config: { image: edgeImage, createOptions: sleeping } },
};

const parent = '127.0.0.1';

const repository = (registry: Registry) => `${registry.address}/module`;

function deployment(registry: Registry): Deployment {
  const module = { image: `${repository(registry)}:1`, createOptions: sleeping };
  return {
    edgeHub: { ...module, image: edgeImage },
    sensor: { ...module, env: { RATE: '5' } },
    filter: { ...module, image: module.image.replace(parent, '$$upstream') },
  };
}

async function environmentOf({ machine }: ModulesRig, name: string) {
  const format = '{{range .Config.Env}}{{println .}}{{end}}';
  const text = await machine.docker('inspect', '--format', format, name);
  return new Map(
    text.split('\n').map((line): [string, string] => {
      const at = line.indexOf('=');
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}

/** What a module is told to connect to. */
async function gatewaysOf(device: ModulesRig, name: string) {
  const environment = await environmentOf(device, name);
  return ['IOTEDGE_GATEWAYHOSTNAME', 'IOTEDGE_PARENTHOSTNAME'].map((one) => environment.get(one));
}

/** The agent of the device, in its container; the one of before has ended with that. */
async function restartAgent(context: Context): Promise<AgentSession> {
  await context.agent?.[Symbol.asyncDispose]();
  await context.device.agentRuns();
  context.agent = new AgentSession(context.device.machine);
  return context.agent;
}

/** Repeats a pass until it is as it should be. */
function passes(agent: AgentSession, wanted: Deployment, fits: (pass: Pass) => boolean) {
  let last: Pass | undefined;
  return untilFound(
    60_000,
    () => `another pass; its errors: ${last?.errors.map(({ message }) => message).join('; ')}`,
    async () => {
      last = await agent.call('reconcile', wanted);
      return fits(last) ? last : undefined;
    },
  );
}

const settles = (agent: AgentSession, wanted: Deployment) =>
  passes(agent, wanted, ({ isSettled }) => isSettled);

async function untilListed(
  agent: AgentSession,
  name: string,
  fits: (module: ListedModule) => boolean,
): Promise<ListedModule> {
  let module: ListedModule | undefined;
  return untilFound(
    60_000,
    () => `another ${name} than ${JSON.stringify(module)}`,
    async () => {
      module = (await agent.call('modules')).find((one) => one.name === name);
      return module !== undefined && fits(module) ? module : undefined;
    },
  );
}

/** Configures whether the device is below a gateway. */
async function placeBelow({ device }: Context, place: object): Promise<void> {
  const { provisioning, ...rest } = cloudSettings(device.rig, device.cloud);
  const placed = { ...provisioning, ...place };
  await device.rig.configure('identity', { ...rest, provisioning: placed });
}

const containerId = ({ machine }: ModulesRig, name: string) =>
  machine.docker('inspect', '--format', '{{.Id}}', name);

test.before(async (context) => {
  const device = await ModulesRig.start(settings);
  context.device = device;
  context.gateway = await startRigCloud(device.rig);
  passOn(context.gateway, device.cloud);
  await placeBelow(context, { gateway_hostname: context.gateway.host });
  await importEdgeImage(device.machine);
  context.registry = await Registry.start(device.machine, 5000);
  await context.registry.push(ModulesRig.image, `${repository(context.registry)}:1`);
  await context.registry.push(ModulesRig.image, `${repository(context.registry)}:2`);
  await device.machine.docker('rmi', `${repository(context.registry)}:1`);
  await device.machine.docker('rmi', `${repository(context.registry)}:2`);
});

test.after(async ({ agent, device, gateway, registry }) => {
  await agent[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
  await device[Symbol.asyncDispose]();
});

test('finds what it asks for at its start', async (context) => {
  const agent = await restartAgent(context);
  await agent.call('start');
  const { labels, status, startTime } = await untilListed(agent, 'edgeAgent', () => true);
  assert.is(status, 'running');
  assert.ok(startTime);
  assert.is(labels['net.azure-devices.edge.original-image'], edgeImage);
  assert.type(labels['net.azure-devices.edge.create-options'], 'string');
  assert.type(labels['net.azure-devices.edge.env'], 'string');
});

test('deploys three modules on a device without any', async ({ agent, device, registry }) => {
  const wanted = deployment(registry);
  await settles(agent, wanted);
  const expected = ['edgeAgent', ...Object.keys(wanted)].map((name) => `${name} running`);
  assert.equal(await device.containers(), expected.toSorted());
  const made = device.cloud.registry.modules.get(deviceName);
  const identities = new Map((await agent.call('identities')).map((one) => [one.moduleId, one]));
  for (const id of Object.keys(wanted).map(idOf)) {
    assert.is(identities.get(id)?.generationId, made?.get(id)?.generationId, id);
    assert.is(identities.get(id)?.managedBy.toLowerCase(), 'iotedge', id);
  }
  await agent.call('sent');
  assert.ok((await agent.call('reconcile', wanted)).isSettled);
  assert.equal(await agent.call('sent'), ['GET /modules 200'], 'nothing is asked but the list');
});

test('has images from the gateway, which agent, hub and modules are told', async (context) => {
  const { agent, device, registry } = context;
  assert.equal(await gatewaysOf(device, 'edgeAgent'), [parent, undefined]);
  assert.equal(await gatewaysOf(device, 'edgeHub'), [parent, undefined]);
  assert.equal(await gatewaysOf(device, 'filter'), [`${deviceName}.local`, parent]);
  const { image } = await untilListed(agent, 'filter', ({ status }) => status === 'running');
  assert.is(image, '$upstream:5000/module:1');
  const format = '{{.Config.Image}}';
  const found = await device.machine.docker('inspect', '--format', format, 'filter');
  assert.is(found.trim(), `${repository(registry)}:1`);
});

test('has a hub that serves with its certificate', async ({ device }) => {
  const leaf = new X509Certificate(await startHubInContainer(device.machine));
  assert.is(leaf.checkHost(`${deviceName}.local`), `${deviceName}.local`);
  assert.ok(Date.parse(leaf.validTo) <= Date.now() + 90 * 86_400_000);
});

test('updates a module, which keeps its identity', async ({ agent, device, registry }) => {
  const wanted = deployment(registry);
  const image = `${repository(registry)}:2`;
  const { IOTEDGE_MODULEGENERATIONID: before } = Object.fromEntries(
    await environmentOf(device, 'sensor'),
  );
  await settles(agent, { ...wanted, sensor: { image, createOptions: sleeping } });
  const updated = await untilListed(agent, 'sensor', ({ status }) => status === 'running');
  assert.is(updated.image, image);
  const environment = await environmentOf(device, 'sensor');
  assert.is(environment.get('IOTEDGE_MODULEGENERATIONID'), before);
  assert.is(environment.has('RATE'), false);
});

test('learns why an image cannot be pulled, while the module runs on', async (context) => {
  const { agent, device, registry } = context;
  const id = await containerId(device, 'filter');
  const image = `${repository(registry)}:missing`;
  const wanted = { ...(await deployed(context)), filter: { image, createOptions: sleeping } };
  const { errors } = await agent.call('reconcile', wanted);
  assert.match(errors[0]?.message ?? '', /missing/);
  assert.is(await containerId(device, 'filter'), id);
  assert.is((await untilListed(agent, 'filter', () => true)).status, 'running');
});

test('sees the old module again after an update that ends at once, and is refused', async (context) => {
  const { agent, device } = context;
  const before = await deployed(context);
  const id = await containerId(device, 'filter');
  const image = before['sensor']?.image ?? '';
  const wanted = {
    ...before,
    filter: { image, createOptions: { Cmd: ['sh', '-c', 'exit 3'] } },
  };
  const { errors } = await passes(agent, wanted, ({ errors: found }) => found.length > 0);
  assert.is(errors[0]?.status, 500);
  assert.match(errors[0]?.message ?? '', /rolled back.* exit code 3/);
  // although the agent has stopped it before it asked for the update again
  const { image: shown } = await untilListed(agent, 'filter', ({ status }) => status === 'running');
  assert.is(shown, before['filter']?.image);
  assert.is(await containerId(device, 'filter'), id);
  await settles(agent, before);
});

test('goes on after a restart of the service', async (context) => {
  const { agent, device } = context;
  const ids = await Promise.all(['edgeHub', 'sensor'].map((name) => containerId(device, name)));
  await device.rig.stop('modules', 'SIGKILL');
  await device.agentRuns();
  await settles(agent, await deployed(context));
  const now = await Promise.all(['edgeHub', 'sensor'].map((name) => containerId(device, name)));
  assert.equal(now, ids);
});

test('stops a module, and starts it again', async (context) => {
  const { agent } = context;
  const wanted = await deployed(context);
  const stopped = { ...wanted['sensor'], status: 'stopped' } as const;
  await settles(agent, { ...wanted, sensor: { image: wanted['sensor']?.image ?? '', ...stopped } });
  const { exit } = await untilListed(agent, 'sensor', ({ status }) => status !== 'running');
  assert.ok(exit);
  await settles(agent, wanted);
  const again = await untilListed(agent, 'sensor', ({ status }) => status === 'running');
  assert.equal(again.exit, exit, 'the earlier exit stays');
});

test('removes a module with its identity', async (context) => {
  const { agent, device } = context;
  const all = Object.entries(await deployed(context));
  await settles(agent, Object.fromEntries(all.filter(([name]) => name !== 'filter')));
  assert.not.ok((await device.containers()).some((text) => text.startsWith('filter ')));
  assert.is(device.cloud.registry.modules.get(deviceName)?.has('filter'), false);
});

test('replaces itself', async (context) => {
  const { agent, device } = context;
  const id = await containerId(device, 'edgeAgent');
  const createOptions = { ...sleeping, Labels: { generation: '2' } };
  await agent.tryCall('updateSelf', { image: edgeImage, createOptions });
  await untilFound(60_000, 'another agent', async () => {
    const now = await containerId(device, 'edgeAgent').catch(() => id);
    return now === id ? undefined : now;
  });
  const next = await restartAgent(context);
  const { labels } = await untilListed(next, 'edgeAgent', ({ status }) => status === 'running');
  assert.is(labels['generation'], '2');
  assert.is(labels['net.azure-devices.edge.create-options'], JSON.stringify(createOptions));
  // what modules.yaml has for the first start is not what it goes back to
  await device.rig.stop('modules');
  const replaced = await containerId(device, 'edgeAgent');
  await device.agentRuns();
  await untilListed(next, 'edgeAgent', ({ status }) => status === 'running');
  assert.is(await containerId(device, 'edgeAgent'), replaced);
});

async function leavesItsGateway(context: Context): Promise<void> {
  const { device, gateway } = context;
  const wanted = await deployed(context);
  const [host, none] = [`${deviceName}.local`, undefined];
  for (const [place, above] of [
    [{}, none],
    [{ gateway_hostname: gateway.host }, parent],
  ] as const) {
    await placeBelow(context, place);
    assert.is(await device.rig.reload('identity'), 'reloaded');
    const told = { edgeAgent: [above, none], edgeHub: [above, none], sensor: [host, above] };
    for (const [name, expected] of Object.entries(told)) {
      await untilFound(60_000, `${name} with ${above}`, async () => {
        const found = await gatewaysOf(device, name).catch(() => []);
        return isDeepStrictEqual(found, expected) ? true : undefined;
      });
    }
    await settles(await restartAgent(context), wanted);
  }
}

// every container is created again twice
const testInSoak = isSoak ? test : undefined;
testInSoak?.('leaves its gateway by a reload with all modules, and returns', leavesItsGateway);

test('moves to another hub with all modules, and forgets the gateway', async (context) => {
  const { agent, device } = context;
  const wanted = await deployed(context);
  const names = ['edgeAgent', ...Object.keys(wanted)];
  const { modules } = device.cloud.registry;
  const before = modules.get(deviceName);
  // the other hub knows of the device only what it makes itself
  device.cloud.registry.devices.delete(deviceName);
  device.cloud.registry.assign(deviceName, { certificateName: deviceName });
  device.cloud.movedTo = context.gateway.host; // then the device is below none
  await agent.tryCall('reprovision');
  for (const name of names) {
    await untilFound(60_000, `${name} for the other hub`, async () => {
      const of = await environmentOf(device, name).catch(() => new Map<string, string>());
      return of.get('IOTEDGE_IOTHUBHOSTNAME') === device.cloud.movedTo ? true : undefined;
    });
  }
  const next = await restartAgent(context);
  await next.call('start');
  await settles(next, wanted);
  const containers = await device.containers();
  const running = containers.filter((text) => text.endsWith(' running'));
  assert.equal(running, names.map((name) => `${name} running`).toSorted());
  const made = modules.get(deviceName);
  const identities = new Map((await next.call('identities')).map((one) => [one.moduleId, one]));
  for (const name of names) {
    const generation = made?.get(idOf(name))?.generationId;
    assert.is.not(generation, before?.get(idOf(name))?.generationId, name);
    assert.is(identities.get(idOf(name))?.generationId, generation, name);
    const environment = await environmentOf(device, name);
    assert.is(environment.get('IOTEDGE_MODULEGENERATIONID'), generation, name);
  }
  assert.equal(await gatewaysOf(device, 'edgeAgent'), [undefined, undefined]);
  assert.equal(await gatewaysOf(device, 'edgeHub'), [undefined, undefined]);
  assert.equal(await gatewaysOf(device, 'sensor'), [`${deviceName}.local`, undefined]);
});

test('reprovisions a device that stays where it is, without a restart of anything', async (context) => {
  const { agent, device } = context;
  const ids = await Promise.all(['edgeAgent', 'edgeHub'].map((name) => containerId(device, name)));
  await agent.call('reprovision');
  await untilFound(60_000, 'the end of the provisioning', async () => {
    const { stdout } = await device.rig.busctl(['get-property', ...identityOperation]);
    return stdout.trim() === 's ""' ? true : undefined;
  });
  await untilListed(agent, 'edgeHub', ({ status }) => status === 'running');
  const now = await Promise.all(['edgeAgent', 'edgeHub'].map((name) => containerId(device, name)));
  assert.equal(now, ids);
});

const identityOperation = [
  'org.iotedge.Identity1',
  '/org/iotedge/Identity1',
  'org.iotedge.Identity1',
  'Operation',
];

/** What the agent has deployed at last. */
async function deployed({ agent, registry }: Context): Promise<Deployment> {
  const sensor = { image: `${repository(registry)}:2`, createOptions: sleeping };
  const modules = new Set((await agent.call('modules')).map(({ name }) => name));
  const all = Object.entries({ ...deployment(registry), sensor });
  return Object.fromEntries(all.filter(([name]) => name !== 'filter' || modules.has(name)));
}

test.run();
