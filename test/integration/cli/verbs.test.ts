/** The output of each verb for the description of a service, as text and as JSON, and its exit code. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ServiceDefinition } from '../../../src/dbus/definition.ts';
import { type IncomingMessage } from '../../../src/dbus/wire/inbox.ts';
import { Message, messageType } from '../../../src/dbus/wire/message.ts';
import { certificatesService } from '../../../src/interfaces/certificates.ts';
import { identityService } from '../../../src/interfaces/identity.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { modulesService } from '../../../src/interfaces/modules.ts';
import { type Printed, runIotedgectl } from '../../support/clients/run-iotedgectl.ts';
import { PrivateBus } from '../../support/rig/private-bus.ts';

const test = suite<{ daemon: PrivateBus }>('verbs of iotedgectl');

test.before(async (context) => {
  context.daemon = await PrivateBus.start();
});
test.after(({ daemon }) => daemon[Symbol.asyncDispose]());

type Described = readonly [ServiceDefinition, string];

/** Runs a command while each service describes itself with its text; no other call gets a reply. */
async function run(
  daemon: PrivateBus,
  described: readonly Described[],
  ...args: readonly string[]
): Promise<Printed> {
  const buses = await Promise.all(described.map((one) => describing(daemon, one)));
  try {
    process.env['DBUS_SYSTEM_BUS_ADDRESS'] = daemon.address;
    return await runIotedgectl(...args);
  } finally {
    await Promise.all(buses.map((bus) => bus.close()));
  }
}

async function describing(daemon: PrivateBus, [service, json]: Described) {
  const bus = await daemon.connect();
  const receive = ({ header: { serial, sender, member, path } }: IncomingMessage): void => {
    if (member !== 'Describe' || path !== service.path) return;
    const reply = { type: messageType.reply, replySerial: serial, destination: sender };
    bus.send(new Message({ ...reply, signature: 's', body: [json] }));
  };
  bus.serveCalls({ maxBodyBytes: () => 1024, receive });
  await bus.requestName(service.busName);
  return bus;
}

const described = (fields: object): string =>
  JSON.stringify({ version: '1.2', health: 'ok', last_error: '', ...fields });

const rsa = {
  Algorithm: 'rsa-2048',
  Usages: ['sign', 'decrypt'],
  Store: 'pkcs11',
  Origin: 'preloaded',
  State: 'ok',
};

test('keys list: one line per key', async ({ daemon }) => {
  const json = described({ objects: { 'device-id': rsa, b: { Algorithm: 'aes-256' } } });
  const { code, out, err } = await run(daemon, [[keysService, json]], 'keys', 'list');
  assert.equal([code, err], [0, '']);
  assert.equal(out.split('\n'), [
    'KEY        ALGORITHM  USAGES        STORE   ORIGIN     STATE',
    'device-id  rsa-2048   sign,decrypt  pkcs11  preloaded  ok',
    'b          aes-256',
  ]);
});

test('keys list: exits with 6 where keys may be hidden, and reports why', async ({ daemon }) => {
  const json = described({ health: 'degraded', last_error: 'token \x1b away', objects: { a: {} } });
  const text = await run(daemon, [[keysService, json]], 'keys', 'list');
  assert.is(text.code, 6);
  assert.match(text.out, /\n\ufffdperhaps not all keys are shown: token \ufffd away$/);
  const program = await run(daemon, [[keysService, json]], 'keys', 'list', '--json');
  assert.is(program.code, 6);
  assert.equal(JSON.parse(program.out), { a: {} });
});

test('certificates list: what is wrong first, then when each expires and is renewed', async ({
  daemon,
}) => {
  const day = 86_400_000;
  const inDays = (days: number) => String((Date.now() + days * day + 60_000) * 1000);
  const life = { NotBefore: inDays(-100), NotAfter: inDays(50) };
  const names = { Subject: 'CN=a', Issuer: 'CN=ca' };
  const objects = {
    a: { State: 'valid', ...life, RenewAt: inDays(20), LastAttempt: inDays(-9), ...names },
    b: { State: 'stuck', ...life, RenewAt: inDays(-3), LastAttempt: inDays(-9), LastError: 'no' },
    c: { State: 'pending', NotAfter: '0', Subject: '' },
  };
  const json = described({ health: 'degraded', objects });
  const { code, out } = await run(daemon, [[certificatesService, json]], 'certificates', 'list');
  assert.is(code, 0);
  assert.equal(out.split('\n'), [
    'b: stuck, expires in 50 days: no',
    '',
    'CERTIFICATE  STATE    EXPIRES     RENEWAL     LAST ATTEMPT       NEXT ATTEMPT  SUBJECT  ISSUER',
    'b            stuck    in 50 days  due         failed 8 days ago  -             -        -',
    'a            valid    in 50 days  in 20 days  ok 8 days ago      -             CN=a     CN=ca',
    'c            pending  -           -           -                  -             -        -',
  ]);
  const program = await run(
    daemon,
    [[certificatesService, json]],
    'certificates',
    'list',
    '--json',
  );
  assert.is(program.code, 0);
  assert.equal(JSON.parse(program.out), objects);
});

test('modules list: status, image, restarts, and problems where there are any', async ({
  daemon,
}) => {
  const objects = {
    edgeAgent: {
      State: 'running',
      StartedAt: String((Date.now() - 7_250_000) * 1000),
      RestartCount: 3,
      Image: 'a/b:1',
      LastError: '',
    },
    other: { State: 'created', StartedAt: 0, RestartCount: 0, Image: 'c', LastError: '' },
  };
  const list = (all: object) =>
    run(daemon, [[modulesService, described({ objects: all })]], 'modules', 'list');
  const well = await list(objects);
  assert.is(well.code, 0);
  assert.equal(well.out.split('\n'), [
    'NAME       STATUS      IMAGE  RESTARTS',
    'edgeAgent  Up 2 hours  a/b:1  3',
    'other      Created     c      0',
  ]);
  const ill = await list({ ...objects, other: { ...objects.other, LastError: 'no \x1b image' } });
  assert.equal(ill.out.split('\n'), [
    'NAME       STATUS      IMAGE  RESTARTS  PROBLEM',
    'edgeAgent  Up 2 hours  a/b:1  3',
    'other      Created     c      0         no \ufffd image',
  ]);
  const json = described({ objects });
  const program = await run(daemon, [[modulesService, json]], 'modules', 'list', '--json');
  assert.is(program.code, 0);
  assert.equal(JSON.parse(program.out), objects);
});

test('identity show: the device, then its modules', async ({ daemon }) => {
  const properties = {
    State: 'provisioned',
    Source: 'dps',
    Attestation: 'x509',
    HubHostname: 'hub.example',
    DeviceId: 'device-1',
    LastProvisioned: 1_800_000_000_000_000,
    NextAttempt: 0,
  };
  const objects = { $edgeAgent: { Auth: 'sas', GenerationId: '12' } };
  const json = described({ last_error: 'it was slow', properties, objects });
  const { code, out } = await run(daemon, [[identityService, json]], 'identity', 'show');
  assert.is(code, 0);
  assert.equal(out.split('\n'), [
    '       state: provisioned',
    '      source: dps',
    ' attestation: x509',
    '         hub: hub.example',
    '      device: device-1',
    ' provisioned: 2027-01-15 08:00 UTC',
    'next attempt: -',
    '  last error: it was slow',
    '',
    'MODULE      AUTH  GENERATION',
    '$edgeAgent  sas   12',
  ]);
  const program = await run(daemon, [[identityService, json]], 'identity', 'show', '--json');
  assert.is(program.code, 0);
  assert.equal(JSON.parse(program.out), JSON.parse(json));
  const gatewayOf = async (GatewayHostname: string) => {
    const shown = described({ properties: { ...properties, GatewayHostname } });
    const { out: text } = await run(daemon, [[identityService, shown]], 'identity', 'show');
    return /gateway: .*/.exec(text)?.[0];
  };
  assert.is(await gatewayOf('parent:8443'), 'gateway: parent:8443');
  assert.is(await gatewayOf('hub.example'), undefined);
  const bare = await run(daemon, [[identityService, described({})]], 'identity', 'show');
  assert.is(bare.code, 0);
  assert.equal(bare.out.split('\n').slice(-1), ['  last error: -']);
  assert.not.match(bare.out, 'MODULE');
});

const all = (keys: string): readonly Described[] => [
  [keysService, keys],
  [certificatesService, described({ objects: {} })],
  [identityService, described({ objects: { a: {}, b: {} } })],
  [modulesService, described({ objects: { a: {} } })],
];

test('status: exits with 0 when all are ok, with 6 when one is not', async ({ daemon }) => {
  const well = await run(daemon, all(described({ objects: { a: {} } })), 'status');
  assert.equal([well.code, well.err], [0, '']);
  assert.equal(well.out.split('\n'), [
    'SERVICE       STATE    HEALTH  VERSION  DETAIL',
    'keys          running  ok      1.2      1 key',
    'certificates  running  ok      1.2      0 certificates',
    'identity      running  ok      1.2      2 modules',
    'modules       running  ok      1.2      1 module',
  ]);
  const ill = described({ health: 'degraded', last_error: 'the token is away' });
  const degraded = await run(daemon, all(ill), 'status');
  assert.is(degraded.code, 6);
  assert.match(degraded.out, /^keys +running  degraded  1\.2 +the token is away$/m);
  const program = await run(daemon, all(ill), 'status', '--json');
  assert.is(program.code, 6);
  const [first, ...others] = JSON.parse(program.out) as readonly object[];
  assert.equal(first, {
    service: 'keys',
    state: 'running',
    health: 'degraded',
    version: '1.2',
    detail: 'the token is away',
  });
  assert.is(others.length, 3);
});

test('status: exits with 6 when a certificate is not issued', async ({ daemon }) => {
  const objects = { web: { State: 'pending', LastError: 'it is refused' } };
  const services = all(described({})).map((one) =>
    one[0] === certificatesService ? ([certificatesService, described({ objects })] as const) : one,
  );
  const { code, out } = await run(daemon, services, 'status');
  assert.match(out, /^certificates +running +ok /m);
  assert.match(out, /^certificate web: there is no certificate yet: it is refused$/m);
  assert.is(code, 6);
  const ordered = { web: { State: 'pending', LastError: '' } };
  const first = services.map((one) =>
    one[0] === certificatesService
      ? ([certificatesService, described({ objects: ordered })] as const)
      : one,
  );
  assert.is((await run(daemon, first, 'status')).code, 0, 'its first attempt is not over');
});

test('status: exits with 4 when one of them is missing, whatever the health of others', async ({
  daemon,
}) => {
  const ill = described({ health: 'degraded' });
  const { code, out } = await run(daemon, all(ill).slice(0, 3), 'status');
  assert.is(code, 4);
  assert.match(out, /^modules +absent +- +- +no org\.iotedge\.Modules1 on this bus$/m);
});

test('check: each service, certificates that expire and renewals that are stuck, with what to do', async ({
  daemon,
}) => {
  const inDays = (days: number) => String((Date.now() + days * 86_400_000 + 60_000) * 1000);
  const life = { NotBefore: inDays(-300), NotAfter: inDays(5) };
  const certificatesWith = (objects: object): readonly Described[] =>
    all(described({})).map((one) =>
      one[0] === certificatesService ? [certificatesService, described({ objects })] : one,
    );
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-check-'));
  const config = ['--config-dir', directory];
  try {
    const well = await run(daemon, certificatesWith({}), 'check', ...config);
    assert.equal([well.code, well.err], [0, ''], well.out);
    assert.equal(well.out.split('\n'), [
      'ok       configuration: valid',
      'ok       keys service: healthy',
      'ok       certificates service: healthy',
      'ok       expiry of certificates: none expires soon',
      'ok       renewal of certificates: none is stuck',
      'ok       identity service: healthy',
      'ok       modules service: healthy',
    ]);
    const objects = {
      a: { State: 'valid', ...life },
      b: { State: 'stuck', LastError: 'it \x1b is refused' },
    };
    await writeFile(join(directory, 'keys.yaml'), 'log_levl: info\n');
    const ill = await run(daemon, certificatesWith(objects), 'check', ...config);
    assert.is(ill.code, 6);
    const lines = ill.out.split('\n');
    assert.is(lines[0], 'error    configuration: 1 problem');
    assert.match(lines[1] ?? '', /^ +.*keys\.yaml:1: .*log_levl/);
    const rest = lines.slice(lines.indexOf('warning  expiry of certificates: 1 problem'));
    assert.equal(rest.slice(0, 6), [
      'warning  expiry of certificates: 1 problem',
      '           a: expires in 5 days',
      "           what to do: a: 'iotedgectl certificates import a FILE --replace' puts another one in its place",
      'error    renewal of certificates: 1 problem',
      '           b: stuck, there is no certificate yet: it \ufffd is refused',
      "           what to do: b: once the cause is removed: 'iotedgectl certificates request b'",
    ]);
    const program = await run(daemon, certificatesWith(objects), 'check', '--json', ...config);
    assert.is(program.code, 6);
    const { checks } = JSON.parse(program.out) as { checks: Record<string, { result: string }> };
    assert.equal(Object.keys(checks['renewal of certificates'] ?? {}), [
      'result',
      'details',
      'advice',
    ]);
    assert.is(checks['renewal of certificates']?.result, 'error');
    const without = await run(daemon, all(described({})).slice(0, 3), 'check', ...config);
    assert.is(without.code, 6);
    assert.match(
      without.out,
      /^error +modules service: not available\n +no org\.iotedge\.Modules1/m,
    );
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('exit with 4 when the service is not installed, and with 1 for an invalid description', async ({
  daemon,
}) => {
  const verbs = [
    ['keys', 'list'],
    ['certificates', 'list'],
    ['identity', 'show'],
    ['modules', 'list'],
  ] as const;
  const services = [keysService, certificatesService, identityService, modulesService] as const;
  for (const [at, words] of verbs.entries()) {
    const none = await run(daemon, [], ...words);
    assert.equal([none.code, none.out], [4, '']);
    assert.match(
      none.err,
      /^iotedgectl: no org\.iotedge\.\w+ on this bus: is the \w+ service installed\?$/,
    );
    for (const json of ['[]', 'null', '{', '7']) {
      const odd = await run(daemon, [[services[at] ?? keysService, json]], ...words);
      assert.equal([odd.code, odd.out], [1, ''], json);
    }
    const extra = await run(daemon, [], ...words, 'extra');
    assert.equal([extra.code, extra.out], [2, '']);
    assert.match(extra.err, `${words.join(' ')} takes no arguments`);
  }
});

test('exit with 4 when there is no bus, and name the variable', async ({ daemon }) => {
  const nowhere = { address: 'unix:path=/nowhere' } as PrivateBus;
  const { code, out, err } = await run(nowhere, [], 'status');
  assert.equal([code, out], [4, '']);
  assert.match(err, 'DBUS_SYSTEM_BUS_ADDRESS');
  assert.ok(daemon.address !== nowhere.address);
});

test.run();
