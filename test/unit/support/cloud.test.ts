import { createHmac } from 'node:crypto';
import { Agent, request } from 'node:https';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cloud, type CloudOptions } from '../../support/cloud/cloud.ts';
import { refusalOfSas } from '../../support/cloud/sas.ts';
import { type Credential, Pki } from '../../support/pki.ts';

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Readonly<Record<string, unknown>>;
}

interface Asked {
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const scopeId = '0ne00000001';
const dps = 'api-version=2021-06-01';
const hub = 'api-version=2017-11-08-preview';

/** A double with one enrolled device, and a way to ask it as a holder of a certificate. */
class Setting implements AsyncDisposable {
  readonly cloud: Cloud;
  readonly #pki: Pki;

  private constructor(cloud: Cloud, pki: Pki) {
    this.cloud = cloud;
    this.#pki = pki;
  }

  static async start(options: Partial<CloudOptions> = {}): Promise<Setting> {
    const pki = await Pki.create();
    const server = await pki.issue('cloud', ['localhost', '127.0.0.1']);
    const cloud = await Cloud.start({
      ...server,
      clientRoots: pki.root.certificate,
      scopeId,
      enrollments: new Map([['device-1', { deviceId: 'device-1' }]]),
      ...options,
    });
    return new Setting(cloud, pki);
  }

  client(name: string): Promise<Credential> {
    return this.#pki.issue(name);
  }

  ask(client: Credential | undefined, path: string, asked: Asked = {}): Promise<Answer> {
    const { method = 'GET', body, headers = {} } = asked;
    const agent = new Agent({
      ca: this.#pki.root.certificate,
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

  async register(client: Credential): Promise<Answer> {
    const path = `/${scopeId}/registrations/device-1`;
    const body = { registrationId: 'device-1' };
    const accepted = await this.ask(client, `${path}/register?${dps}`, { method: 'PUT', body });
    const operation = `${path}/operations/${String(accepted.body['operationId'])}?${dps}`;
    await this.ask(client, operation);
    return this.ask(client, operation);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cloud[Symbol.asyncDispose]();
    await this.#pki[Symbol.asyncDispose]();
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

test('refuses a registration of another name, without a certificate, or of another version', async () => {
  await using setting = await Setting.start();
  const path = `/${scopeId}/registrations/device-1/register`;
  const put = { method: 'PUT', body: { registrationId: 'device-1' } };
  const other = await setting.client('device-2');
  const own = await setting.client('device-1');
  assert.is((await setting.ask(other, `${path}?${dps}`, put)).status, 401);
  assert.is((await setting.ask(undefined, `${path}?${dps}`, put)).status, 401);
  assert.is((await setting.ask(own, `${path}?api-version=2019-03-31`, put)).status, 400);
  assert.is((await setting.ask(own, path, put)).status, 400);
  const unknown = `/${scopeId}/registrations/device-9/register?${dps}`;
  assert.is((await setting.ask(own, unknown, put)).status, 404);
  const mixed = { method: 'PUT', body: { registrationId: 'device-9' } };
  assert.is((await setting.ask(own, `${path}?${dps}`, mixed)).status, 400);
});

test('says when to ask again', async () => {
  await using setting = await Setting.start({ retryAfterS: 3 });
  const path = `/${scopeId}/registrations/device-1/register?${dps}`;
  const put = { method: 'PUT', body: { registrationId: 'device-1' } };
  const answer = await setting.ask(await setting.client('device-1'), path, put);
  assert.is(answer.status, 202);
  assert.is(answer.headers['retry-after'], '3');
});

test('keeps modules as the hub does: create, update with If-Match, list, delete', async () => {
  await using setting = await Setting.start();
  const device = await setting.client('device-1');
  await setting.register(device);
  const path = `/devices/device-1/modules/%24edgeAgent?${hub}`;
  const body = { moduleId: '$edgeAgent', deviceId: 'device-1', managedBy: 'iotedge' };
  const created = await setting.ask(device, path, { method: 'PUT', body });
  assert.is(created.status, 201);
  assert.match(String(created.body['generationId']), /^\d+$/);
  assert.is((await setting.ask(device, path, { method: 'PUT', body })).status, 409);
  const key = Buffer.alloc(32, 7).toString('base64');
  const symmetricKey = { primaryKey: key, secondaryKey: key };
  const update = { ...body, authentication: { type: 'sas', symmetricKey } };
  const match = { 'if-match': '*' };
  const updated = await setting.ask(device, path, { method: 'PUT', body: update, headers: match });
  assert.is(updated.status, 200);
  assert.is(updated.body['generationId'], created.body['generationId']);
  assert.is((await setting.ask(device, path, { method: 'DELETE' })).status, 412);
  assert.is((await setting.ask(device, path, { method: 'DELETE', headers: match })).status, 204);
  assert.is((await setting.ask(device, path)).status, 404);
});

test('keeps a device out of the registry before it is assigned, and out of others', async () => {
  await using setting = await Setting.start();
  const device = await setting.client('device-1');
  assert.is((await setting.ask(device, `/devices/device-1/modules?${hub}`)).status, 401);
  await setting.register(device);
  assert.is((await setting.ask(device, `/devices/device-1/modules?${hub}`)).status, 200);
  assert.is((await setting.ask(device, `/devices/device-2/modules?${hub}`)).status, 401);
});

test('checks SAS tokens over sr as it was sent, encoded or not', () => {
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

test('speaks just the TLS versions that it is told to', async () => {
  await using setting = await Setting.start({ maxVersion: 'TLSv1.2' });
  await setting.register(await setting.client('device-1'));
  assert.is(setting.cloud.requests[0]?.protocol, 'TLSv1.2');
});

test.run();
