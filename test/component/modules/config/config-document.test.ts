import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { modulesSchema, parseModulesConfig } from '../../../../src/modules/config/config.ts';
import { configDocument } from '../../../../src/modules/config/config-document.ts';
import { loadText } from '../../../support/config-texts.ts';

const test = suite<{ dir: string }>('configuration in the names of modules.yaml');
const form = { service: 'modules', schema: modulesSchema, parse: parseModulesConfig };

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-document-'));
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true, force: true });
});

const full = `certificates:
  device_ca_cert: device-ca
  device_ca_pk: key://device-ca
  trusted_ca_certs: [one, 'file:///etc/a%20b.pem']
agent: {config: {image: a}, env: {A: 1.10}}
hostname: edge
module_key: ec-p256
on_stop: stop
connect: {management_uri: 'unix:///run/m.sock', workload_uri: 'unix:///run/w.sock'}
listen: {management_uri: 'unix:///run/m.sock', workload_uri: 'unix:///run/w.sock'}
moby_runtime: {uri: 'unix:///run/podman.sock'}
network: {name: net, ipam: {config: [{subnet: 172.20.0.0/16}]}}
log_options: {max_size: 1g, max_file: 2}
image_garbage_collection: {enabled: false, cleanup_recurrence: 90m, image_age_cleanup_threshold: 36h, cleanup_time: '23:09', free_space_threshold_percent: 0}
allow_elevated: true
allowed_binds: [/srv/data]
allowed_volumes: [data]
allowed_ports: [80]
server_names: {sensor: [sensor.example]}
homedir: /var/lib/iotedge/modules
log_level: debug
`;

for (const text of ['{}', full, 'log_options: {max_size: unlimited}']) {
  test(`is read as the same configuration: ${text.slice(0, 12)}`, async ({ dir }) => {
    const config = await loadText(form, dir, text);
    const document = JSON.parse(JSON.stringify(configDocument(config))) as object;
    const known = Object.keys(modulesSchema.properties);
    assert.equal(
      Object.keys(document).filter((name) => !known.includes(name)),
      [],
    );
    assert.equal(await loadText(form, dir, JSON.stringify(document)), config);
  });
}

test('has whole units of time where there are any', async ({ dir }) => {
  const document = configDocument(await loadText(form, dir, full));
  assert.equal(Reflect.get(document, 'image_garbage_collection'), {
    enabled: false,
    cleanup_recurrence: '90m',
    image_age_cleanup_threshold: '36h',
    cleanup_time: '23:09',
    free_space_threshold_percent: 0,
  });
});

test.run();
