import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { identitySchema, parseIdentityConfig } from '../../../../src/identity/config/config.ts';
import { loadText, problemsOfText } from '../../../support/config-texts.ts';

const test = suite<{ dir: string }>('identity configuration');

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-identity-'));
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true });
});

const form = { service: 'identity', schema: identitySchema, parse: parseIdentityConfig };
const load = (dir: string, text: string) => loadText(form, dir, text);

async function problemsOf(dir: string, text: string): Promise<readonly string[]> {
  return (await problemsOfText(form, dir, text)).map(({ path }) => path);
}

test('accepts the documented file', async ({ dir }) => {
  const { dps, cloud } = await load(
    dir,
    `provisioning:
  source: 'dps'
  scope_id: '0ne'
  attestation:
    method: 'x509'
    identity_cert: 'cert://device-id'
    identity_pk: 'key://device-id'
`,
  );
  assert.equal(dps, {
    scopeId: '0ne',
    registrationId: undefined,
    certificateId: 'device-id',
    keyId: 'device-id',
    globalEndpoint: 'https://global.azure-devices-provisioning.net',
    endpoint: 'https://global.azure-devices-provisioning.net',
  });
  assert.equal(cloud, { trustedCa: [], timeoutMs: 70_000, proxy: undefined });
});

test('accepts a certificate in a file wherever one is named', async ({ dir }) => {
  const yaml = (certificate: string, root = '/r.pem'): string => `cloud: {trusted_ca: '${root}'}
provisioning:
  source: dps
  scope_id: 0ne0
  attestation:
    method: x509
    identity_cert: '${certificate}'
    identity_pk: 'key://device-id'
`;
  const { dps, cloud } = await load(
    dir,
    yaml('file:///var/secrets/device-id.cer', 'file:///a/b.pem'),
  );
  assert.equal(
    [dps?.certificateFile, dps?.certificateId],
    ['/var/secrets/device-id.cer', undefined],
  );
  assert.equal(cloud.trustedCa, ['/a/b.pem']);
  assert.is((await load(dir, yaml('FILE:///a%20b'))).dps?.certificateFile, '/a b');
  const place = ['provisioning.attestation.identity_cert'];
  for (const none of ['file://host/x', 'file:x', 'file:/x', 'file:///%zz', 'file:///a%00', '/x']) {
    assert.equal(await problemsOf(dir, yaml(none)), place, none);
  }
  for (const none of ['x.pem', 'file://host/x', 'file:///%']) {
    assert.equal(await problemsOf(dir, yaml('cert://x', none)), ['cloud.trusted_ca'], none);
  }
});

test('lets the user of an identity get tokens for it, and for nothing else', async ({ dir }) => {
  const { principals, grants } = await load(
    dir,
    `principals: { app: { uid: 1001, module_id: app }, gateway: { uid: 1002 } }\n`,
  );
  assert.equal(
    [...principals],
    [
      [1001, 'app'],
      [1002, ''],
    ],
  );
  const sign = 'org.iotedge.identity1.sign';
  assert.equal(grants, [
    { user: '1001', actions: [sign], match: { module_id: 'app' } },
    { user: '1002', actions: [`${sign}-device`], match: { module_id: '' } },
  ]);
});

test('refuses a pattern as an identity, and two identities of one user', async ({ dir }) => {
  const text = `principals:
  all: { uid: 1001, module_id: '*' }
  a: { uid: 1002, module_id: a }
  b: { uid: 1002, module_id: b }
`;
  assert.equal(await problemsOf(dir, text), ['principals.all.module_id', 'principals.b.uid']);
});

test('reports that the key of the device cannot be a file', async ({ dir }) => {
  const attestation = `{ method: x509, identity_cert: device-id, identity_pk: 'file:///key.pem' }`;
  const text = `provisioning: { source: dps, scope_id: s, attestation: ${attestation} }\n`;
  assert.equal(await problemsOf(dir, text), ['provisioning.attestation.identity_pk']);
});

test('refuses invalid addresses of the cloud', async ({ dir }) => {
  const attestation = `{ method: x509, identity_cert: device-id, identity_pk: device-id }`;
  for (const endpoint of [
    'https://a b',
    'https://host:99999',
    'https://user:secret@host',
    'https://[::g]',
  ]) {
    const text = `provisioning: { source: dps, scope_id: s, global_endpoint: '${endpoint}', attestation: ${attestation} }\n`;
    assert.equal(await problemsOf(dir, text), ['provisioning.global_endpoint'], endpoint);
  }
  for (const proxy of ['http://a b', 'http://u%zz@a', 'http://u:%ff@a']) {
    const wrong = `cloud: { proxy: '${proxy}' }\n`;
    assert.equal(await problemsOf(dir, wrong), ['cloud.proxy'], proxy);
  }
  assert.equal(await problemsOf(dir, 'cloud: { trusted_ca: [/a, ca.pem] }\n'), [
    'cloud.trusted_ca[1]',
  ]);
  assert.equal(await problemsOf(dir, 'cloud: { trusted_ca: ca.pem }\n'), ['cloud.trusted_ca']);
});

/** A file of a device whose `provisioning` has more or other members. */
function yamlOf({ more = '', rest = '' }: { more?: string; rest?: string }): string {
  const attestation = '{ method: x509, identity_cert: device-id, identity_pk: device-key }';
  return `provisioning: { source: dps, scope_id: s, attestation: ${attestation}${more} }\n${rest}`;
}

test('accepts an endpoint with a trailing slash, and a registration id', async ({ dir }) => {
  const more = `, registration_id: pump-1, global_endpoint: 'https://dps.example:8443/'`;
  const { dps } = await load(dir, yamlOf({ more }));
  assert.equal([dps?.globalEndpoint, dps?.registrationId], ['https://dps.example:8443', 'pump-1']);
  assert.equal([dps?.certificateId, dps?.keyId], ['device-id', 'device-key']);
});

test('reaches the provisioning service through the gateway, unless its endpoint is set', async ({
  dir,
}) => {
  const settings = async (more: string) => {
    const { dps } = await load(dir, yamlOf({ more }));
    return [dps?.gatewayHostname, dps?.endpoint, dps?.globalEndpoint];
  };
  const everyone = 'https://global.azure-devices-provisioning.net';
  assert.equal(await settings(''), [undefined, everyone, everyone]);
  for (const gateway of ['parent', 'Parent.example:8443', '10.0.0.1', '10.0.0.1:65535']) {
    const shown = await settings(`, gateway_hostname: '${gateway}'`);
    assert.equal(shown, [gateway, `https://${gateway}`, everyone]);
  }
  const own = `, gateway_hostname: parent, global_endpoint: 'https://dps.example/'`;
  assert.equal(await settings(own), ['parent', 'https://dps.example', 'https://dps.example']);
});

test('refuses a gateway that is no host', async ({ dir }) => {
  for (const gateway of [
    '',
    'https://h',
    'h/',
    'h/a',
    'a b',
    'u@h',
    'h:',
    'h:0',
    'h:65536',
    ':443',
    'h.',
    '-h',
    '1.2.3.4.5',
    'h?a',
    'h#a',
    '$upstream',
    'a'.repeat(254),
  ]) {
    const problems = await problemsOf(dir, yamlOf({ more: `, gateway_hostname: '${gateway}'` }));
    assert.equal(problems, ['provisioning.gateway_hostname'], gateway);
  }
});

test('accepts timeouts, proxies and roots of the cloud within their limits', async ({ dir }) => {
  for (const timeout of ['1', '0.5', '600', '600.5', '2.5', '"7"']) {
    const rest = `cloud: { timeout_s: ${timeout} }\n`;
    const problems = await problemsOf(dir, yamlOf({ rest }));
    const isGood = ['1', '600', '2.5'].includes(timeout);
    assert.equal(problems, isGood ? [] : ['cloud.timeout_s'], timeout);
  }
  const rest = `cloud: { timeout_s: 2.5, proxy: 'http://u:p@proxy:1', trusted_ca: [/a, 'file:///b%20c'] }\n`;
  assert.equal((await load(dir, yamlOf({ rest }))).cloud, {
    trustedCa: ['/a', '/b c'],
    timeoutMs: 2500,
    proxy: 'http://u:p@proxy:1',
  });
  for (const proxy of ['socks://proxy', 'proxy:1', '']) {
    const wrong = yamlOf({ rest: `cloud: { proxy: '${proxy}' }\n` });
    assert.equal(await problemsOf(dir, wrong), ['cloud.proxy'], proxy);
  }
});

test('refuses other sources, methods, users and settings', async ({ dir }) => {
  for (const [text, place] of [
    [yamlOf({}).replace('dps', 'manual'), 'provisioning.source'],
    [yamlOf({}).replace('x509', 'tpm'), 'provisioning.attestation.method'],
    [yamlOf({}).replace('scope_id: s', `scope_id: ''`), 'provisioning.scope_id'],
    [yamlOf({ more: `, registration_id: ''` }), 'provisioning.registration_id'],
    [yamlOf({ more: `, global_endpoint: 'http://dps.example'` }), 'provisioning.global_endpoint'],
    [yamlOf({ more: `, global_endpoint: 'https://h/path'` }), 'provisioning.global_endpoint'],
    ['principals: { a: { uid: -1 } }\n', 'principals.a.uid'],
    ['principals: { a: { uid: 1.5 } }\n', 'principals.a.uid'],
  ] as const) {
    assert.equal(await problemsOf(dir, text), [place], text);
  }
  for (const text of [
    yamlOf({ more: ', payload: {}' }),
    yamlOf({ rest: 'cloud: { retries: 3 }\n' }),
    'principals: { a: { uid: 1, manage: true } }\n',
    'hub: {}\n',
    yamlOf({}).replace(', identity_pk: device-key', ''),
  ]) {
    assert.is((await problemsOf(dir, text)).length, 1, text);
  }
});

test('gives every user of a list an identity, uid 0 too', async ({ dir }) => {
  const { principals } = await load(
    dir,
    `principals: { a: { uid: 0, module_id: $edgeAgent }, b: { uid: 1, module_id: '' } }\n`,
  );
  assert.equal(
    [...principals],
    [
      [0, '$edgeAgent'],
      [1, ''],
    ],
  );
});

test.run();
