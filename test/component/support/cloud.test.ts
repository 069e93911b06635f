import { createHmac } from 'node:crypto';
import { Agent, request } from 'node:https';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { CloudOptions } from '../../support/cloud/cloud.ts';
import { makeSas, refusalOfSas } from '../../support/cloud/sas.ts';
import type { Credential } from '../../support/tls/pki.ts';
import { PkiCloud, scopeId } from '../../support/tls/pki-cloud.ts';

interface Reply {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Readonly<Record<string, unknown>>;
}

interface RequestOptions {
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const dps = 'api-version=2021-06-01';
const hub = 'api-version=2017-11-08-preview';

/** A double with one enrolled device, and a client with its certificate. */
class Setting extends PkiCloud {
  static async start(options: Partial<CloudOptions> = {}): Promise<Setting> {
    const enrollments = new Map([['device-1', { deviceId: 'device-1' }]]);
    return new Setting(await PkiCloud.startParts({ enrollments, ...options }));
  }

  client(name: string): Promise<Credential> {
    return this.pki.issue(name);
  }

  send(client: Credential | undefined, path: string, options: RequestOptions = {}): Promise<Reply> {
    const { method = 'GET', body, headers = {} } = options;
    const agent = new Agent({
      ca: this.pki.root.certificate,
      ...(client === undefined ? {} : { key: client.key, cert: client.certificate }),
    });
    return new Promise((resolve, reject) => {
      const json = body === undefined ? {} : { 'content-type': 'application/json' };
      const options = { method, agent, headers: { ...json, ...headers }, timeout: 5000 };
      const outgoing = request(`${this.cloud.endpoint}${path}`, options, (incoming) => {
        let text = '';
        incoming.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        incoming.on('end', () => {
          agent.destroy();
          const parsed: unknown = text === '' ? {} : JSON.parse(text);
          const record = Object.fromEntries(Object.entries(Object(parsed) as object));
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: record });
        });
      });
      outgoing.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  async register(client: Credential): Promise<Reply> {
    const path = `/${scopeId}/registrations/device-1`;
    const body = { registrationId: 'device-1' };
    const accepted = await this.send(client, `${path}/register?${dps}`, { method: 'PUT', body });
    const operation = `${path}/operations/${String(accepted.body['operationId'])}?${dps}`;
    await this.send(client, operation);
    return this.send(client, operation);
  }
}

const test = suite('cloud double');

test('assigns an enrolled device to itself as the hub, after polls', async () => {
  await using setting = await Setting.start();
  const { status, body } = await setting.register(await setting.client('device-1'));
  assert.is(status, 200);
  assert.is(body['status'], 'assigned');
  const state = new Map(Object.entries(Object(body['registrationState']) as object));
  assert.is(state.get('assignedHub'), setting.cloud.host);
  assert.is(state.get('deviceId'), 'device-1');
});

test('returns a hub name that the C clients of Azure accept', async () => {
  await using setting = await Setting.start();
  // IOTEDGE_IOTHUBHOSTNAME "invalid, requires '.' separator", "no content after '.' separator"
  const [name = '', ...suffix] = setting.cloud.host.split('.');
  assert.ok(name.length > 0);
  assert.ok(suffix.join('.').length > 0);
});

test('refuses a registration of another name, without a certificate, or of another version', async () => {
  await using setting = await Setting.start();
  const path = `/${scopeId}/registrations/device-1/register`;
  const put = { method: 'PUT', body: { registrationId: 'device-1' } };
  const other = await setting.client('device-2');
  const own = await setting.client('device-1');
  assert.is((await setting.send(other, `${path}?${dps}`, put)).status, 401);
  assert.is((await setting.send(undefined, `${path}?${dps}`, put)).status, 401);
  assert.is((await setting.send(own, `${path}?api-version=2016-01-01`, put)).status, 400);
  assert.is((await setting.send(own, path, put)).status, 400);
  const unknown = `/${scopeId}/registrations/device-9/register?${dps}`;
  const refused = await setting.send(own, unknown, put);
  assert.equal([refused.status, refused.body['errorCode']], [401, 401002]);
  const mixed = { method: 'PUT', body: { registrationId: 'device-9' } };
  assert.is((await setting.send(own, `${path}?${dps}`, mixed)).status, 400);
});

test('sends Retry-After', async () => {
  await using setting = await Setting.start({ retryAfterS: 3 });
  const path = `/${scopeId}/registrations/device-1/register?${dps}`;
  const put = { method: 'PUT', body: { registrationId: 'device-1' } };
  const reply = await setting.send(await setting.client('device-1'), path, put);
  assert.is(reply.status, 202);
  assert.is(reply.headers['retry-after'], '3');
});

test('stores modules as the hub does: create, update with If-Match, list, delete', async () => {
  await using setting = await Setting.start();
  const device = await setting.client('device-1');
  await setting.register(device);
  const path = `/devices/device-1/modules/web?${hub}`;
  const body = { moduleId: 'web', deviceId: 'device-1', managedBy: 'iotedge' };
  const created = await setting.send(device, path, { method: 'PUT', body });
  assert.is(created.status, 201);
  assert.match(String(created.body['generationId']), /^\d+$/);
  const hubMade = keysOf(created);
  assert.is(Buffer.from(hubMade.primary, 'base64').length, 32);
  assert.is((await setting.send(device, path, { method: 'PUT', body })).status, 409);
  const key = Buffer.alloc(32, 7).toString('base64');
  const symmetricKey = { primaryKey: key, secondaryKey: key };
  const update = { ...body, authentication: { type: 'sas', symmetricKey } };
  const match = { 'if-match': '*' };
  const updated = await setting.send(device, path, { method: 'PUT', body: update, headers: match });
  assert.is(updated.status, 200);
  assert.is(keysOf(updated).primary, key);
  assert.is(updated.body['generationId'], created.body['generationId']);
  assert.is((await setting.send(device, path, { method: 'DELETE' })).status, 412);
  assert.is((await setting.send(device, path, { method: 'DELETE', headers: match })).status, 204);
  assert.is((await setting.send(device, path)).status, 404);
});

function keysOf({ body }: Reply): { readonly type: unknown; readonly primary: string } {
  const entries = (value: unknown) => new Map(Object.entries(Object(value) as object));
  const authentication = entries(body['authentication']);
  const primary = String(entries(authentication.get('symmetricKey')).get('primaryKey'));
  return { type: authentication.get('type'), primary };
}

test('accepts the current entity tag, and no previous one', async () => {
  await using setting = await Setting.start();
  const device = await setting.client('device-1');
  await setting.register(device);
  const path = `/devices/device-1/modules/%24edgeAgent?${hub}`;
  const put = (tag: string) => ({
    method: 'PUT',
    body: { moduleId: '$edgeAgent', deviceId: 'device-1', managedBy: 'iotEdge' },
    headers: { 'if-match': tag },
  });
  const first = await setting.send(device, path);
  assert.is(first.headers['etag'], `"${String(first.body['etag'])}"`);
  assert.is((await setting.send(device, path, put(`"${String(first.body['etag'])}"`))).status, 200);
  const stale = await setting.send(device, path, put(`"${String(first.body['etag'])}"`));
  assert.is(stale.status, 412);
  assert.is(stale.headers['iothub-errorcode'], 'PreconditionFailed');
  assert.is((await setting.send(device, path, put(String(first.body['etag'])))).status, 412);
});

test('accepts ids of the character set of the hub, and limits the number of modules', async () => {
  await using setting = await Setting.start();
  const device = await setting.client('device-1');
  await setting.register(device);
  const create = (moduleId: string) => {
    const body = { moduleId, deviceId: 'device-1' };
    const path = `/devices/device-1/modules/${encodeURIComponent(moduleId)}?${hub}`;
    return setting.send(device, path, { method: 'PUT', body });
  };
  for (const id of ['$foo', 'a b', 'ä', 'x'.repeat(129)]) {
    assert.is((await create(id)).status, 400, id);
  }
  for (let at = 2; at < 50; at++) assert.is((await create(`m-${at}`)).status, 201);
  const full = await create('one-more');
  assert.equal([full.status, full.headers['iothub-errorcode']], [403, 'QuotaExceeded']);
});

test('sends errors of the hub in both of its formats', async () => {
  await using setting = await Setting.start();
  const device = await setting.client('device-1');
  await setting.register(device);
  const path = `/devices/device-1/modules/absent?${hub}`;
  const both = [await setting.send(device, path), await setting.send(device, path)];
  const messages = both.map(({ body }) => String(body['Message'])).sort();
  assert.match(messages[0] ?? '', /^ErrorCode:ModuleNotFound;/);
  assert.match(messages[1] ?? '', /^\{"errorCode":404010,/);
});

test('throttles when it receives too many requests', async () => {
  await using setting = await Setting.start({ throttle: { burst: 2, perSecond: 0.01 } });
  const device = await setting.client('device-1');
  await setting.register(device);
  const path = `/devices/device-1/modules?${hub}`;
  for (const status of [200, 200, 429]) {
    const reply = await setting.send(device, path);
    assert.is(reply.status, status);
    assert.is(reply.headers['retry-after'] !== undefined, status === 429);
  }
});

test('registers by any case of the id, by one certificate only, and reports the enrollment', async () => {
  await using setting = await Setting.start();
  const path = `/${scopeId}/registrations/DEVICE-1`;
  const put = { method: 'PUT', body: { registrationId: 'Device-1', payload: { a: 1 } } };
  const device = await setting.client('device-1');
  assert.is((await setting.send(device, `${path}/register?${dps}`, put)).status, 202);
  const odd = { method: 'PUT', body: { registrationId: 'Device-1', odd: 1 } };
  assert.is((await setting.send(device, `${path}/register?${dps}`, odd)).status, 400);
  const { body } = await setting.register(device);
  const state = new Map(Object.entries(Object(body['registrationState']) as object));
  assert.equal(state.get('x509'), { enrollmentGroupId: 'devices' });

  const thumbprint = 'ab'.repeat(32);
  const enrollments = new Map([['device-1', { deviceId: 'device-1', thumbprint }]]);
  await using individual = await Setting.start({ enrollments });
  const again = await individual.client('device-1');
  assert.is((await individual.send(again, `${path}/register?${dps}`, put)).status, 401);
});

test('refuses a certificate request without an issuer', async () => {
  await using setting = await Setting.start();
  const device = await setting.client('device-1');
  const path = `/${scopeId}/registrations/device-1`;
  // the begin of a SEQUENCE: nothing reads it
  const body = { registrationId: 'device-1', csr: 'MAAA' };
  const put = { method: 'PUT', body };
  assert.is((await setting.send(device, `${path}/register?${dps}`, put)).status, 400);
  const issuing = 'api-version=2025-07-01-preview';
  const accepted = await setting.send(device, `${path}/register?${issuing}`, put);
  const operation = `${path}/operations/${String(accepted.body['operationId'])}?${issuing}`;
  await setting.send(device, operation);
  const outcome = await setting.send(device, operation);
  assert.is(outcome.body['status'], 'failed');
  const state = new Map(Object.entries(Object(outcome.body['registrationState']) as object));
  assert.is(state.get('errorCode'), 400000);
});

test('authenticates devices by the key of a service, a device and a module, until they are disabled', async () => {
  const symmetricKey = Buffer.alloc(32, 3);
  const enrollments = new Map([['device-1', { deviceId: 'device-1', symmetricKey }]]);
  await using setting = await Setting.start({ enrollments });
  const { cloud } = setting;
  const keys = { primaryKey: symmetricKey.toString('base64'), secondaryKey: '' };
  cloud.registry.assign('device-1', { keys });
  const expires = new Date(Date.now() + 60_000);
  const own = `${cloud.host}/devices/device-1`;
  const agent = cloud.registry.modules.get('device-1')?.get('$edgeAgent')?.keys.primaryKey ?? '';
  const tokens = {
    service: cloud.registry.policy.token(cloud.host),
    // Java's clients: `sr` as it is, and an empty name of a key
    device: `${makeSas(own, { key: symmetricKey, expires, encoded: false })}&skn=`,
    module: makeSas(`${own}/modules/$edgeAgent`, { key: Buffer.from(agent, 'base64'), expires }),
  };
  const status = async (
    token: string,
    path: string,
    options: RequestOptions = {},
  ): Promise<number> => {
    const headers = { ...options.headers, authorization: token };
    return (await setting.send(undefined, path, { ...options, headers })).status;
  };
  const java = 'api-version=2021-04-12';
  for (const token of Object.values(tokens)) {
    assert.is(await status(token, `/devices/device-1?${java}`), 200);
    assert.is(await status(token, `/devices/device-1/modules/%24edgeAgent?${hub}`), 200);
  }
  const remove = { method: 'DELETE', headers: { 'if-match': '*' } };
  assert.is(
    await status(tokens.module, `/devices/device-1/modules/%24edgeHub?${hub}`, remove),
    401,
  );
  assert.is(await status(tokens.device, `/devices/device-1?${java}`, remove), 405);
  assert.is(await status(tokens.device, `/devices/device-2?${java}`), 401);
  const disable = {
    method: 'PUT',
    body: { deviceId: 'device-1', status: 'disabled' },
    headers: { 'if-match': '*' },
  };
  assert.is(await status(tokens.service, `/devices/device-1?${java}`, disable), 200);
  assert.is(await status(tokens.device, `/devices/device-1?${java}`), 401);
  assert.is(await status(tokens.service, `/devices/device-1?${java}`, remove), 204);
  assert.is(await status(tokens.device, `/devices/device-1?${java}`), 401);
  assert.is(await status(tokens.service, `/devices/device-1?${java}`), 404);
});

test('refuses registry access of a device before it is assigned, and to other devices', async () => {
  await using setting = await Setting.start();
  const device = await setting.client('device-1');
  assert.is((await setting.send(device, `/devices/device-1/modules?${hub}`)).status, 401);
  await setting.register(device);
  assert.is((await setting.send(device, `/devices/device-1/modules?${hub}`)).status, 200);
  assert.is((await setting.send(device, `/devices/device-2/modules?${hub}`)).status, 401);
});

test('verifies SAS tokens over sr as it was sent, encoded or not', () => {
  const key = Buffer.alloc(32, 1);
  const now = new Date(1_000_000);
  const resource = 'scope/registrations/Device-1';
  const token = (sr: string, se: number): string => {
    const sig = createHmac('sha256', key).update(`${sr}\n${se}`).digest('base64');
    return `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(sig)}&se=${se}&skn=registration`;
  };
  const expected = { resource, key, now, keyName: 'registration' };
  assert.is(refusalOfSas(token(resource, 2000), expected), undefined);
  assert.is(refusalOfSas(token(encodeURIComponent(resource), 2000), expected), undefined);
  assert.ok(refusalOfSas(token(resource, 1000), expected));
  assert.ok(refusalOfSas(token('scope/registrations/other', 2000), expected));
  assert.ok(refusalOfSas(token(resource, 2000), { ...expected, key: Buffer.alloc(32, 2) }));
});

test('speaks only the configured TLS versions', async () => {
  await using setting = await Setting.start({ maxVersion: 'TLSv1.2' });
  await setting.register(await setting.client('device-1'));
  assert.is(setting.cloud.requests[0]?.protocol, 'TLSv1.2');
});

test.run();
