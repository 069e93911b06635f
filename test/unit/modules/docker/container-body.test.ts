import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseModuleName } from '../../../../src/ids.ts';
import { socketTargets } from '../../../../src/modules/docker/confinement/confined-options.ts';
import {
  aliasesOf,
  type ContainerSource,
  containerBody,
  publicCreateOptions,
} from '../../../../src/modules/docker/container-body.ts';
import { fixedVariables, moduleEnvironment } from '../../../../src/modules/docker/environment.ts';

const test = suite('module container');

function source(changes: Partial<ContainerSource> = {}): ContainerSource {
  return {
    name: 'm',
    image: 'image:1',
    createOptions: {},
    environment: {},
    env: {},
    aliases: [],
    network: 'edge',
    sockets: { source: '/state/mnt/m', targets: ['/run/iotedge'] },
    ...changes,
  };
}

test('mounts the sockets read-only and joins the network', () => {
  assert.equal(containerBody(source()).body['HostConfig'], {
    NetworkMode: 'edge',
    Mounts: [{ Type: 'bind', Source: '/state/mnt/m', Target: '/run/iotedge', ReadOnly: true }],
  });
});

test('uses the network of create options that name one', () => {
  for (const NetworkMode of ['host', 'none', 'bridge']) {
    const { body } = containerBody(source({ createOptions: { HostConfig: { NetworkMode } } }));
    assert.is((body['HostConfig'] as Record<string, unknown>)['NetworkMode'], NetworkMode); // as the body has it
  }
});

test('merges the environments of runtime, caller and create options, the later one wins', () => {
  const { body } = containerBody(
    source({
      environment: { A: 'runtime', B: 'runtime', C: 'runtime' },
      createOptions: { Env: ['B=options', 'C=options', 'D=a=b'] },
      env: { A: 'caller', C: 'caller' },
    }),
  );
  assert.equal(body['Env'], ['A=caller', 'B=options', 'C=options', 'D=a=b']);
});

test('has an identity and sockets that neither the caller nor create options change', () => {
  const runtime = environment('edgeAgent');
  const { body } = containerBody(
    source({
      environment: runtime,
      fixed: fixedVariables(runtime),
      createOptions: { Env: ['IOTEDGE_MODULEGENERATIONID=old', 'IOTEDGE_MODULEID'] },
      env: { IOTEDGE_IOTHUBHOSTNAME: 'former', IOTEDGE_WORKLOADURI: 'unix:///old', Mode: 'x' },
    }),
  );
  const merged = { ...runtime, Mode: 'x' };
  const lines = Object.entries(merged).map(([name, value]) => `${name}=${value}`);
  assert.equal(body['Env'], lines.toSorted());
});

test('preserves labels of the user, except those that the runtime sets', () => {
  const Labels = {
    mine: 'x',
    'net.azure-devices.edge.owner': 'somebody',
    'org.iotedge.module': 'another',
  };
  const { body, digest } = containerBody(source({ createOptions: { Labels } }));
  assert.equal(body['Labels'], {
    mine: 'x',
    'net.azure-devices.edge.owner': 'Microsoft.Azure.Devices.Edge.Agent',
    'net.azure-devices.edge.original-image': 'image:1',
    'org.iotedge.config-digest': digest,
    'org.iotedge.module': 'm',
  });
});

test('has a digest that changes with every input of the container', () => {
  const digests = [
    source(),
    source({ image: 'image:2' }),
    source({ env: { A: 'b' } }),
    source({ environment: { A: 'c' } }),
    source({ createOptions: { User: '1' } }),
    source({ network: 'other' }),
    source({ aliases: ['hub'] }),
  ].map((one) => containerBody(one).digest);
  assert.is(new Set(digests).size, digests.length);
  assert.is(containerBody(source()).digest, digests[0]);
});

test('adds network aliases to those of create options', () => {
  const createOptions = { NetworkingConfig: { EndpointsConfig: { edge: { Aliases: ['a'] } } } };
  assert.equal(aliasesOf(createOptions), ['a']);
  const { body } = containerBody(source({ createOptions, aliases: ['edge-device'] }));
  assert.equal(body['NetworkingConfig'], {
    EndpointsConfig: { edge: { Aliases: ['a', 'edge-device'] } },
  });
});

test('joins the network with its aliases, unless create options select another one', () => {
  const aliases = ['edge-device'];
  const made = (NetworkMode: unknown, EndpointsConfig: object = {}) => {
    const createOptions = {
      HostConfig: { NetworkMode, Memory: 1 },
      NetworkingConfig: { EndpointsConfig },
    };
    const { body } = containerBody(source({ createOptions, aliases }));
    const { NetworkMode: mode, Memory } = body['HostConfig'] as Record<string, unknown>; // as the body has it
    assert.is(Memory, 1);
    return [mode, JSON.stringify(body['NetworkingConfig']).includes('edge-device')];
  };
  for (const free of [undefined, '', 'default', 'edge']) {
    assert.equal(made(free), ['edge', true], String(free));
    assert.equal(made(free, { edge: {}, other: {} }), ['edge', true], String(free));
  }
  assert.equal(made('default', { other: {} }), ['default', false]);
  assert.equal(made('edge', { other: {} }), ['edge', true]);
  for (const other of ['host', 'none', 'bridge']) assert.equal(made(other), [other, false]);
});

test('shows create options without environment and labels', () => {
  const shown = publicCreateOptions({ Env: ['SECRET=1'], Labels: { a: 'b' }, User: '1' });
  assert.equal(shown, { User: '1' });
  const spelled = publicCreateOptions({ env: ['SECRET=1'], LABELS: { a: 'b' }, User: '1' });
  assert.equal(spelled, { User: '1' });
  assert.equal(publicCreateOptions({ 'Label\u017f': { a: 'b' }, User: '1' }), { User: '1' });
});

test('mounts the directory of each socket once', () => {
  assert.equal(socketTargets({ management: '/run/a/m', workload: '/run/a/w' }), ['/run/a']);
  assert.equal(socketTargets({ management: '/run/b/m', workload: '/run/a/w' }), [
    '/run/a',
    '/run/b',
  ]);
});

function environment(name: string, gateway = ''): Readonly<Record<string, string>> {
  return moduleEnvironment({
    name: parseModuleName(name),
    identity: {
      hub_hostname: 'hub',
      gateway_hostname: gateway,
      device_id: 'd',
      module_id: name,
      generation_id: 'g',
    },
    config: {
      hostname: 'edge-device',
      connect: { management: '/run/m', workload: '/run/w' },
      network: { name: 'edge' },
      agent: { name: parseModuleName('edgeAgent'), type: 'docker', config: {}, env: {} },
    },
    socketsPath: '/state/mnt',
  });
}

test('directs modules to the hub on the device, and agent and hub to its parent', () => {
  assert.is(environment('sensor')['IOTEDGE_GATEWAYHOSTNAME'], 'edge-device');
  assert.is(environment('sensor', 'parent')['IOTEDGE_PARENTHOSTNAME'], 'parent');
  assert.is(environment('edgeHub')['IOTEDGE_GATEWAYHOSTNAME'], undefined);
  assert.is(environment('edgeHub', 'hub')['IOTEDGE_GATEWAYHOSTNAME'], undefined);
  assert.is(environment('edgeAgent', 'parent')['IOTEDGE_GATEWAYHOSTNAME'], 'parent');
});

test('names the parent without its port, which SDKs choose', () => {
  assert.is(environment('sensor', 'parent:8443')['IOTEDGE_PARENTHOSTNAME'], 'parent');
  assert.is(environment('edgeHub', 'parent:8443')['IOTEDGE_GATEWAYHOSTNAME'], 'parent');
});

/** The variables about gateways of a module for which an agent, and create options, ask for others. */
function gatewaysOf(name: string, gateway: string): readonly unknown[] {
  const asked = ['GATEWAYHOSTNAME', 'PARENTHOSTNAME', 'GATEWAYHOSTNAMES'];
  const runtime = environment(name, gateway);
  const { body } = containerBody(
    source({
      environment: runtime,
      fixed: fixedVariables(runtime),
      env: Object.fromEntries(asked.map((one) => [`IOTEDGE_${one}`, 'asked'])),
      createOptions: { Env: ['IOTEDGE_GATEWAYHOSTNAME=option', 'IOTEDGE_PARENTHOSTNAME'] },
    }),
  );
  const lines = body['Env'] as readonly string[]; // as the body has it
  return lines.filter((line) => asked.some((one) => line.startsWith(`IOTEDGE_${one}`)));
}

test('gives no module another gateway than its own', () => {
  const free = 'IOTEDGE_GATEWAYHOSTNAMES=asked';
  const [device, parent] = ['IOTEDGE_GATEWAYHOSTNAME=edge-device', 'IOTEDGE_PARENTHOSTNAME=parent'];
  assert.equal(gatewaysOf('sensor', 'parent'), [device, free, parent]);
  // what an agent repeats after the gateway is gone
  assert.equal(gatewaysOf('sensor', ''), [device, free]);
  for (const name of ['edgeHub', 'edgeAgent']) {
    assert.equal(gatewaysOf(name, 'parent'), ['IOTEDGE_GATEWAYHOSTNAME=parent', free]);
    assert.equal(gatewaysOf(name, 'hub'), [free]);
  }
});

test('gives every module only the variables that SDKs read', () => {
  const all = {
    IOTEDGE_APIVERSION: '2022-08-03',
    IOTEDGE_AUTHSCHEME: 'sasToken',
    IOTEDGE_DEVICEID: 'd',
    IOTEDGE_IOTHUBHOSTNAME: 'hub',
    IOTEDGE_MODULEGENERATIONID: 'g',
    IOTEDGE_WORKLOADURI: 'unix:///run/w',
  };
  assert.equal(environment('sensor'), {
    ...all,
    IOTEDGE_MODULEID: 'sensor',
    IOTEDGE_GATEWAYHOSTNAME: 'edge-device',
  });
  const EdgeDeviceHostName = 'edge-device';
  assert.equal(environment('edgeHub', 'parent'), {
    ...all,
    IOTEDGE_MODULEID: 'edgeHub',
    IOTEDGE_GATEWAYHOSTNAME: 'parent',
    EdgeDeviceHostName,
  });
  assert.equal(environment('edgeAgent'), {
    ...all,
    IOTEDGE_MODULEID: 'edgeAgent',
    EdgeDeviceHostName,
    IOTEDGE_MANAGEMENTURI: 'unix:///run/m',
    IOTEDGE_WORKLOADLISTEN_MNTURI: 'unix:///state/mnt',
    Mode: 'iotedged',
    NetworkId: 'edge',
  });
});

test('gives the management API only to the agent', () => {
  assert.is(environment('edgeAgent')['IOTEDGE_MANAGEMENTURI'], 'unix:///run/m');
  assert.is(environment('edgeHub')['IOTEDGE_MANAGEMENTURI'], undefined);
  assert.is(environment('sensor')['IOTEDGE_MANAGEMENTURI'], undefined);
});

test.run();
