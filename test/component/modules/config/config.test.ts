import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { modulesSchema, parseModulesConfig } from '../../../../src/modules/config/config.ts';
import { loadConfig } from '../../../../src/service/config/config.ts';
import { ConfigError, type Problem } from '../../../../src/service/config/config-problem.ts';
import { loadText, problemsOfText } from '../../../support/config-texts.ts';

const test = suite<{ dir: string }>('modules.yaml');

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-modules-config-'));
});

test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true, force: true });
});

const form = { service: 'modules', schema: modulesSchema, parse: parseModulesConfig };
const load = (dir: string, text: string) => loadText(form, dir, text);

async function problemsOf(dir: string, text: string): Promise<readonly string[]> {
  return (await problemsOfText(form, dir, text)).map(({ line, path }) => `${line} ${path}`);
}

const known = `certificates:
  device_ca_cert: 'cert://device-ca'
  device_ca_pk: 'key://device-ca'
  trusted_ca_certs: 'cert://trusted-ca'

agent:
  name: 'edgeAgent'
  type: 'docker'
  config: {image: 'mcr.example/agent:1', createOptions: {}, auth: {username: u, password: p}}

hostname: 'edge'

connect:
  management_uri: 'unix:///var/lib/iotedge/mgmt.sock'
  workload_uri: 'unix:///var/lib/iotedge/workload.sock'

listen:
  management_uri: 'unix:///var/lib/iotedge/mgmt.sock'
  workload_uri: 'unix:///var/lib/iotedge/workload.sock'

homedir: '/var/lib/iotedge/iotedged'

moby_runtime:
  uri: 'unix:///var/run/docker.sock'
`;

test('reads existing configuration files', async ({ dir }) => {
  const config = await load(dir, known);
  assert.is(config.deviceCa, 'device-ca');
  assert.equal(config.trustedCas, [{ kind: 'id', id: 'trusted-ca' }]);
  assert.is(config.agent?.name, 'edgeAgent');
  assert.equal(config.agent?.env, {});
  assert.equal(config.connect, {
    management: '/var/lib/iotedge/mgmt.sock',
    workload: '/var/lib/iotedge/workload.sock',
  });
  assert.is(config.engineSocket, '/var/run/docker.sock');
  assert.is(config.homedir, '/var/lib/iotedge/iotedged');
});

test('treats a missing file as empty', async ({ dir }) => {
  const config = await loadConfig({ dir, ...form });
  assert.is(config.agent, undefined);
  assert.is(config.hostname, hostname());
  assert.is(config.deviceCa, undefined);
  assert.equal(config.trustedCas, []);
  assert.equal(config.network, { name: 'azure-iot-edge' });
  assert.is(config.engineSocket, '/var/run/docker.sock');
  assert.is(config.allowElevated, false);
  assert.equal(config.allowedBinds, []);
  assert.equal(config.allowedVolumes, []);
  assert.equal(config.allowedPorts, [443]);
  assert.is(config.serverNames.size, 0);
});

test('reads the host resources that modules may use', async ({ dir }) => {
  const text = `hostname: 'edge.example.'
allowed_binds: [/srv/a/, //srv//b, /srv/ab]
allowed_volumes: [shared]
allowed_ports: [80, 443]
server_names: {broker: [mqtt.example, 10.0.0.7, '::1'], $edgeHub: [hub_1]}`;
  const config = await load(dir, text);
  assert.equal(config.allowedBinds, ['/srv/a', '/srv/b', '/srv/ab']);
  assert.equal(config.allowedVolumes, ['shared']);
  assert.equal(config.allowedPorts, [80, 443]);
  const names = [...config.serverNames];
  assert.equal(names, [
    ['broker', ['mqtt.example', '10.0.0.7', '::1']],
    ['edgeHub', ['hub_1']],
  ]);
  assert.is(config.hostname, 'edge.example');
});

test('refuses a host path below another one', async ({ dir }) => {
  assert.equal(await problemsOf(dir, 'allowed_binds: [/srv/a/b, /srv/a]'), ['1 allowed_binds[0]']);
  assert.equal(await problemsOf(dir, 'allowed_binds: [/srv/a, /srv/x/../a/b/]'), [
    '1 allowed_binds[1]',
  ]);
  assert.equal(await problemsOf(dir, 'allowed_binds: [/, /srv]'), ['1 allowed_binds[1]']);
  assert.equal(await problemsOf(dir, 'allowed_binds: [/srv/a, /srv/a/]'), []);
});

test('reads lists of trusted CAs, bare ids and files', async ({ dir }) => {
  const config = await load(
    dir,
    'certificates: {trusted_ca_certs: [trusted-ca, "cert://b", "file:///etc/ssl/ca%20one.pem"]}',
  );
  assert.equal(config.trustedCas, [
    { kind: 'id', id: 'trusted-ca' },
    { kind: 'id', id: 'b' },
    { kind: 'file', path: '/etc/ssl/ca one.pem' },
  ]);
});

test('reads the environment of the agent as strings', async ({ dir }) => {
  const agent = 'agent: {config: {image: a}, env: {RuntimeLogLevel: debug, Count: 3, On: true}}';
  const config = await load(dir, agent);
  assert.equal(config.agent?.env, { RuntimeLogLevel: 'debug', Count: '3', On: 'true' });
});

test('reads a network with its addresses', async ({ dir }) => {
  const config = await load(dir, 'network: {name: edge, ipv6: true, ipam: {Config: []}}');
  assert.equal(config.network, { name: 'edge', ipv6: true, ipam: { Config: [] } });
});

test('reports the location of problems', async ({ dir }) => {
  assert.equal(await problemsOf(dir, 'hostnam: x'), ['1 hostnam']);
  assert.equal(await problemsOf(dir, 'agent:\n  config: {}'), ['2 agent.config']);
  assert.equal(await problemsOf(dir, 'agent:\n  type: podman\n  config: {image: a}'), [
    '2 agent.type',
  ]);
  assert.equal(await problemsOf(dir, 'agent:\n  name: a/b\n  config: {image: a}'), [
    '2 agent.name',
  ]);
  assert.equal(await problemsOf(dir, 'moby_runtime: {uri: "tcp://localhost:2375"}'), [
    '1 moby_runtime.uri',
  ]);
  assert.equal(await problemsOf(dir, 'allowed_binds: [relative]'), ['1 allowed_binds[0]']);
  assert.equal(await problemsOf(dir, 'server_names: {a/b: [c]}'), ['1 server_names.a/b']);
  for (const name of ['a b', '*.example', '127.1', 'a..b', 'fe80::1%eth0']) {
    const text = `server_names: {a: [b, '${name}']}`;
    assert.equal(await problemsOf(dir, text), ['1 server_names.a[1]'], name);
  }
  for (const name of ['Gerät.local', 'a b', '*.example', 'a..b', 'ſ.example']) {
    assert.equal(await problemsOf(dir, `hostname: '${name}'`), ['1 hostname'], name);
  }
  for (const name of ['Edge_1.local', 'xn--gert-noa.local.', '10.0.0.7', 'fd00::7']) {
    assert.equal(await problemsOf(dir, `hostname: '${name}'`), [], name);
  }
  assert.equal(await problemsOf(dir, 'allowed_ports: [0]'), ['1 allowed_ports[0]']);
  assert.equal(await problemsOf(dir, 'allowed_volumes: [a/b]'), ['1 allowed_volumes[0]']);
});

test('refuses a private key from a file and a CA from a file', async ({ dir }) => {
  const text = `certificates:
  device_ca_pk: 'file:///key.pem'
  device_ca_cert: 'file:///ca.pem'`;
  assert.equal(await problemsOf(dir, text), [
    '2 certificates.device_ca_pk',
    '3 certificates.device_ca_cert',
  ]);
});

test('reports where to configure a key of a token, without its secrets', async ({ dir }) => {
  const uri = 'pkcs11:token=t;object=k?pin-value=hunter2';
  for (const setting of ['device_ca_pk', 'device_ca_cert', 'trusted_ca_certs']) {
    try {
      await load(dir, `certificates: {${setting}: '${uri}'}`);
      assert.unreachable();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const [problem] = error.problems;
      assert.match(String(problem?.message), 'preload it in ');
      assert.not.match(JSON.stringify(error.problems), 'hunter2');
    }
  }
});

test('refuses two sockets of one file name', async ({ dir }) => {
  const text = 'connect: {management_uri: "unix:///a/s", workload_uri: "unix:///b/s"}';
  assert.equal(await problemsOf(dir, text), ['1 connect.workload_uri']);
});

test('preserves the text of the file in the environment of the agent, in drop-ins too', async ({
  dir,
}) => {
  const values = [
    ['Ver', '1.10'],
    ['Mode', '0644'],
    ['Big', '12345678901234567890'],
    ['Exp', '1e3'],
    ['Hex', '0x1F'],
    ['Octal', '0o17'],
    ['Signed', '+5'],
    ['Infinite', '.inf'],
    ['None', '.NaN'],
    ['On', 'True'],
    ['Yes', 'yes'],
    ['Day', '2026-01-31'],
    ['Time', '12:30:45'],
  ] as const;
  const env = values.map(([name, text]) => `    ${name}: ${text}\n`).join('');
  const text = `agent:\n  config: {image: 'a/b:1'}\n  env:\n    Same: &same 1.20\n    Alias: *same\n    Quoted: '0644'\n    Tagged: !!str 1.0\n    Last: 1.0\n${env}`;
  await mkdir(join(dir, 'modules.d'));
  await writeFile(join(dir, 'modules.d/50.yaml'), 'agent: {env: {Last: 2.50}}\n');
  const { agent } = await load(dir, text);
  assert.equal(agent?.env, {
    Same: '1.20',
    Alias: '1.20',
    Quoted: '0644',
    Tagged: '1.0',
    Last: '2.50',
    ...Object.fromEntries(values),
  });
});

test('refuses a variable without a value, and one that is a list or a map', async ({ dir }) => {
  const text = `agent:
  config: {image: 'a/b:1'}
  env:
    Empty:
    Null: null
    List: [1]
    Map: {a: 1}
    'a=b': 1
    Good: ''
`;
  assert.equal(await problemsOf(dir, text), [
    '4 agent.env.Empty',
    '5 agent.env.Null',
    '6 agent.env.List',
    '7 agent.env.Map',
  ]);
  const named = `agent:\n  config: {image: 'a/b:1'}\n  env:\n    a=b: 1\n`;
  assert.equal(await problemsOf(dir, named), ['4 agent.env.a=…']);
});

test('validates the agent like the runtime', async ({ dir }) => {
  const agent = (config: string): string => `agent:\n  config:\n    image: a/b:1\n    ${config}\n`;
  for (const config of [
    "createOptions: '{'",
    'createOptions: {HostConfg: {}}',
    'createOptions: \'{"Env": ["=a"]}\'',
    'createOptions: {HostConfig: {RestartPolicy: {Name: sometimes}}}',
    'createOptions: {Labels: {a: 1.10}}',
  ]) {
    assert.equal(await problemsOf(dir, agent(config)), ['4 agent.config.createOptions'], config);
  }
  for (const config of [
    'digest: sha256:1',
    'imagePullPolicy: always',
    'restart_policy: sometimes',
  ]) {
    assert.equal(await problemsOf(dir, agent(config)), ['2 agent.config'], config);
  }
  assert.equal(await problemsOf(dir, 'agent: {config: {image: a//b}}\n'), ['1 agent.config']);
  const good = 'createOptions: {HostConfig: {RestartPolicy: {Name: unless-stopped}}}';
  assert.equal(await problemsOf(dir, agent(good)), []);
});

test('warns of an agent that the configuration keeps from running', async ({ dir }) => {
  const warnings: string[] = [];
  const read = async (text: string): Promise<readonly string[]> => {
    warnings.length = 0;
    const warn = ({ line, message }: Problem) => void warnings.push(`${line} ${message}`);
    await loadText({ ...form, warn }, dir, text);
    return warnings;
  };
  const text =
    "agent:\n  config:\n    image: a/b:1\n    createOptions: {HostConfig: {Binds: ['/srv:/srv']}}\n";
  const [warning = '', ...more] = await read(text);
  assert.match(warning, /^4 the agent will not run .*"\/srv" is not in allowed_binds/);
  assert.equal(more, []);
  assert.equal(await read(`${text}allowed_binds: [/srv]\n`), []);
  assert.equal(await read(`${text}allow_elevated: true\n`), []);
});

test('refuses the socket of the engine for an API, and one socket for both', async ({ dir }) => {
  const uri = 'unix:///var/run/docker.sock';
  for (const place of ['listen', 'connect'])
    for (const api of ['management', 'workload']) {
      const found = await problemsOf(dir, `${place}: {${api}_uri: '${uri}'}\n`);
      assert.equal(found, [`1 ${place}.${api}_uri`]);
    }
  const both = "listen: {management_uri: 'unix:///run/a.sock', workload_uri: 'unix:///run/a.sock'}";
  assert.equal(await problemsOf(dir, `${both}\n`), ['1 listen.workload_uri']);
});

test('translates address ranges to the terms of the engine', async ({ dir }) => {
  const text = `network:
  name: edge
  ipv6: true
  ipam:
    config:
      - {subnet: 172.20.0.0/16, gateway: 172.20.0.1, ip_range: 172.20.10.0/24}
      - {subnet: 'fd00:1::/64', gateway: 'fd00:1::1', ip_range: 'fd00:1::/80'}
`;
  const { network } = await load(dir, text);
  assert.equal(network.ipam, {
    Config: [
      { Subnet: '172.20.0.0/16', Gateway: '172.20.0.1', IPRange: '172.20.10.0/24' },
      { Subnet: 'fd00:1::/64', Gateway: 'fd00:1::1', IPRange: 'fd00:1::/80' },
    ],
  });
});

test('refuses address ranges that no engine accepts, at their location', async ({ dir }) => {
  const range = (members: string, ipv6 = ''): string =>
    `network:\n  name: edge\n${ipv6}  ipam:\n    config:\n      - {${members}}\n`;
  for (const [members, setting] of [
    ['subnet: 172.20.0.0', 'subnet'],
    ['subnet: 172.20.0.0/33', 'subnet'],
    ['subnet: 172.20.0.0/16, gateway: 172.21.0.1', 'gateway'],
    ['subnet: 172.20.0.0/16, ip_range: 172.0.0.0/8', 'ip_range'],
    ['subnet: 172.20.0.0/16, ip_range: 172.20.0.0/15', 'ip_range'],
    ['subnet: 172.20.0.0/16, ip_range: 172.21.0.0/24', 'ip_range'],
    ['ip_range: 172.21.0.0/24', 'ip_range'],
    ['gateway: 172.21.0.1', 'gateway'],
    ["subnet: 'fd00::/64'", 'subnet'],
  ]) {
    assert.equal(
      await problemsOf(dir, range(members ?? '')),
      [`5 network.ipam.config[0].${setting}`],
      members,
    );
  }
  const engine = 'Config: [{Subnet: 172.20.0.0/16, IPRange: 172.0.0.0/8}]';
  assert.equal(await problemsOf(dir, `network: {name: edge, ipam: {${engine}}}\n`), [
    '1 network.ipam.Config[0].IPRange',
  ]);
  for (const name of ['a b', '-a', 'a/b']) {
    assert.equal(await problemsOf(dir, `network: '${name}'\n`), ['1 network']);
  }
});

test.run();
