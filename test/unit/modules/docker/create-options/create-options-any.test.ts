/** Any JSON as the configuration of a module: it is refused, or its container has exactly what it requests. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../../../src/errors.ts';
import { elevationReasons } from '../../../../../src/modules/docker/confinement/elevation-reasons.ts';
import { mountsOf, withHostMounts } from '../../../../../src/modules/docker/confinement/mounts.ts';
import { createOptionsValidator } from '../../../../../src/modules/docker/confinement/policy-violation.ts';
import {
  containerBody,
  publicCreateOptions,
} from '../../../../../src/modules/docker/container-body.ts';
import {
  parseSettings,
  parseSettingsJson,
  settingsJson,
} from '../../../../../src/modules/docker/create-options/create-options.ts';
import { createOptionsSchema } from '../../../../../src/modules/docker/create-options/create-options-schema.ts';
import { parseImageDigest } from '../../../../../src/modules/docker/create-options/image-policy.ts';
import { withoutEnginePolicy } from '../../../../../src/modules/docker/create-options/restart-policy.ts';
import { withTag } from '../../../../../src/modules/docker/engine/pull.ts';
import { restartPolicies } from '../../../../../src/modules/supervisor/restart/restart-policy.ts';
import { holds } from '../../../../support/property.ts';

type Json = Readonly<Record<string, unknown>>;

const test = suite('any configuration of a module');
const allowedBinds = ['/srv/data'];
const rules = {
  validate: createOptionsValidator(),
  network: 'edge',
  allowedBinds,
  allowedPorts: [443],
};

const { properties } = createOptionsSchema;
const members = Object.keys(properties);
const hostMembers = Object.keys(properties.HostConfig.properties);

/** Values that occur in create options, and others. */
const value = fc.oneof(
  fc.constantFrom<unknown>(
    true,
    false,
    0,
    -1,
    1,
    '',
    'host',
    'container:x',
    'none',
    'edge',
    'private',
    [],
    {},
    null,
    ['SYS_ADMIN'],
    ['/:/host'],
    ['/srv/data:/d:ro'],
    ['data:/d'],
    ['/srv/data/../../etc:/d'],
    [{ Type: 'bind', Source: '/srv/data', Target: '/d' }],
    [{ Type: 'bind', Source: '/etc', Target: '/d' }],
    [{ Type: 'volume', Source: 'v', Target: '/d' }],
    { '80/tcp': [{ HostPort: '80' }] },
    { '80/tcp': [{ HostPort: '8080' }] },
    { Name: 'always' },
    ['no-new-privileges'],
    ['seccomp=unconfined'],
  ),
  fc.jsonValue({ maxDepth: 3 }),
);

/** A name spelled as in the schema, or in letters that the engine folds to it. */
const nameOf = (names: readonly string[]) =>
  fc
    .tuple(fc.constantFrom(...names), fc.constantFrom('as it is', 'lower', 'upper'))
    .map(([name, how]) =>
      how === 'lower' ? name.toLowerCase() : how === 'upper' ? name.toUpperCase() : name,
    );
const plainHost = fc.dictionary(fc.constantFrom(...hostMembers), value, { maxKeys: 3 });
const oddHost = fc.dictionary(nameOf(hostMembers), value, { maxKeys: 2 });
const hostConfig = fc.oneof(plainHost, oddHost, value);
const options = fc.oneof(
  fc.record({ HostConfig: hostConfig }),
  fc.record({ HostConfig: hostConfig, User: fc.string() }),
  fc.dictionary(nameOf(members), value, { maxKeys: 3 }),
  fc.jsonValue({ maxDepth: 4 }),
);

/** The result, or undefined if it is refused as invalid; any other error fails the test. */
function unlessRefused<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    assert.ok(isServiceError(error, 'InvalidArgs'), String(error));
    return undefined;
  }
}

/** A value as the engine reads it: member names case-folded, null members not set. */
function folded(found: unknown): unknown {
  if (Array.isArray(found)) return found.map(folded);
  if (typeof found !== 'object' || found === null) return found;
  const present = Object.entries(found).filter(([, member]) => member !== null);
  return Object.fromEntries(present.map(([key, member]) => [key.toLowerCase(), folded(member)]));
}

function objectIn(found: unknown, key: string): Json {
  const member = typeof found === 'object' && found !== null ? (found as Json)[key] : undefined; // read as unknown
  return typeof member === 'object' && member !== null ? (member as Json) : {}; // as above
}

const empty = (found: unknown): boolean =>
  found === undefined ||
  found === '' ||
  found === 0 ||
  found === false ||
  (typeof found === 'object' && found !== null && Object.keys(found).length === 0);

/** Members of HostConfig that reach the host, or another container, whatever their value. */
const reaching = [
  'privileged',
  'capadd',
  'devices',
  'devicerequests',
  'devicecgrouprules',
  'pidmode',
  'utsmode',
  'usernsmode',
  'cgroup',
  'cgroupparent',
  'sysctls',
  'volumesfrom',
  'volumedriver',
  'runtime',
  'links',
  'groupadd',
  'storageopt',
  'oomkilldisable',
  'autoremove',
  'containeridfile',
];

test('is refused as invalid, or parsed and serialized without a change', () => {
  const isRead = (createOptions: unknown, image: string, env: string): void => {
    const given = { image, createOptions, restart_policy: env };
    const settings = unlessRefused(() => parseSettings(given));
    if (settings === undefined) return;
    assert.ok((restartPolicies as readonly string[]).includes(env));
    assert.equal(parseSettings(settingsJson(settings)), settings);
    assert.equal(parseSettingsJson(JSON.stringify(settingsJson(settings))), settings);
  };
  const policies = fc.oneof(fc.constantFrom(...restartPolicies), fc.string());
  holds(fc.property(options, fc.constantFrom('a:1', '', 'a//b'), policies, isRead), 2_000);
  holds(
    fc.property(fc.anything(), (any) => {
      unlessRefused(() => parseSettings(any));
    }),
    500,
  );
  holds(
    fc.property(fc.string(), (text) => {
      unlessRefused(() => parseSettingsJson(text));
      unlessRefused(() => parseSettings({ image: 'a', createOptions: text }));
    }),
    500,
  );
});

test('is serialized with every given setting, and nothing else', () => {
  const optional = {
    auth: fc.record(
      { serveraddress: fc.string(), username: fc.string(), password: fc.string() },
      { requiredKeys: [] },
    ),
    digest: fc.constantFrom(`sha256:${'a'.repeat(64)}`, `sha256:${'0'.repeat(64)}`),
    imagePullPolicy: fc.constantFrom('on-create', 'never'),
    restart_policy: fc.constantFrom(...restartPolicies),
  };
  const given = fc.record(
    { image: fc.constant('a:1'), createOptions: fc.constant({ User: 'u' }), ...optional },
    { requiredKeys: ['image', 'createOptions'] },
  );
  const isWritten = (one: object): void => {
    const written = settingsJson(parseSettings(one));
    // records have no prototype
    assert.equal(JSON.parse(JSON.stringify(written)), JSON.parse(JSON.stringify(one)));
  };
  holds(fc.property(given, isWritten), 300);
});

test('requests nothing outside the container if it is considered harmless', () => {
  let harmless = 0;
  const isHarmless = (createOptions: unknown): void => {
    const settings = unlessRefused(() => parseSettings({ image: 'a:1', createOptions }));
    if (settings === undefined) return;
    const reasons = unlessRefused(() => elevationReasons(settings.createOptions, rules));
    if (reasons?.length !== 0) return;
    harmless++;
    const hostConfig = objectIn(folded(settings.createOptions), 'hostconfig');
    for (const member of reaching) assert.ok(empty(hostConfig[member]), `${member} is harmless`);
    for (const mode of ['ipcmode', 'networkmode', 'cgroupnsmode']) {
      assert.not.match(JSON.stringify(hostConfig[mode] ?? ''), /host|container|shareable/, mode);
    }
    for (const option of Object.values(objectIn(hostConfig, 'securityopt'))) {
      assert.match(String(option), /^no-new-privileges([:=]true)?$/);
    }
    assert.is(hostConfig['maskedpaths'] ?? hostConfig['readonlypaths'], undefined);
    const { hostPaths } = mountsOf(settings.createOptions);
    assert.ok(hostPaths.every((path) => allowedBinds.includes(path)));
    const { Binds = [], Mounts = [] } = objectIn(
      withHostMounts(settings.createOptions),
      'HostConfig',
    );
    assert.not.match(JSON.stringify([Binds, Mounts]), /"\/(etc|:)|\/srv\/data\//);
  };
  holds(fc.property(options, isHarmless), 4_000);
  assert.ok(harmless > 500, `${harmless} of them were harmless`);
});

test('creates a container with the labels of the runtime, and hides the environment', () => {
  const labels = fc.dictionary(
    fc.oneof(
      fc.string(),
      fc.constantFrom(
        'net.azure-devices.edge.owner',
        'net.azure-devices.edge.original-image',
        'org.iotedge.module',
        'org.iotedge.config-digest',
      ),
    ),
    fc.string(),
  );
  const env = fc.array(fc.string({ minLength: 1 }));
  const isMade = (Labels: Readonly<Record<string, string>>, Env: readonly string[]): void => {
    const requested = { image: 'a:1', createOptions: { Labels, Env, HostConfig: {} } };
    const settings = unlessRefused(() => parseSettings(requested));
    if (settings === undefined) return;
    const { body, digest } = containerBody({
      name: 'sensor',
      image: settings.image,
      createOptions: withoutEnginePolicy(settings.createOptions),
      environment: {},
      env: {},
      aliases: [],
      network: 'edge',
      sockets: { source: '/state/mnt/sensor', targets: ['/run'] },
    });
    assert.equal(body['Labels'], {
      ...Labels,
      'net.azure-devices.edge.owner': 'Microsoft.Azure.Devices.Edge.Agent',
      'net.azure-devices.edge.original-image': 'a:1',
      'org.iotedge.config-digest': digest,
      'org.iotedge.module': 'sensor',
    });
    assert.equal(publicCreateOptions(settings.createOptions), { HostConfig: {} });
  };
  holds(fc.property(labels, env, isMade), 300);
});

const part = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,10}$/);

test('has an image reference that identifies one image', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const isOne = (parts: readonly string[], port: boolean, tag: string): void => {
    const name = `${parts.join('/')}`;
    const image = port ? `registry.example:5000/${name}` : name;
    fc.pre(!parts.some((one) => /^\.+$/.test(one)));
    for (const reference of [image, `${image}:${tag}`, `${image}@${digest}`]) {
      assert.is(parseSettings({ image: reference }).image, reference);
      assert.is(withTag(reference), reference === image ? `${image}:latest` : reference);
      assert.is(withTag(withTag(reference)), withTag(reference));
    }
    assert.is(parseImageDigest(digest, image), digest);
    assert.is(parseImageDigest(digest, `${image}@${digest}`), digest);
    const other = `sha256:${'b'.repeat(64)}`;
    assert.is(
      unlessRefused(() => parseImageDigest(other, `${image}@${digest}`)),
      undefined,
    );
  };
  const parts = fc.array(part, { minLength: 1, maxLength: 3 });
  holds(fc.property(parts, fc.boolean(), part, isOne), 300);
  const isReference = (image: string): void => {
    const settings = unlessRefused(() => parseSettings({ image }));
    if (settings === undefined) return;
    assert.match(image, /^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}$/);
    assert.not.match(image, /(^|\/)\.*(\/|$)/);
  };
  const odd = fc.array(fc.constantFrom('a', '/', '..', '.', ':', '@', ' ', '?', 'A9'), {
    maxLength: 12,
  });
  holds(
    fc.property(
      fc.oneof(
        fc.string(),
        odd.map((one) => one.join('')),
      ),
      isReference,
    ),
    1_000,
  );
  assert.is(parseSettings({ image: 'a'.repeat(512) }).image.length, 512);
  assert.is(
    unlessRefused(() => parseSettings({ image: 'a'.repeat(513) })),
    undefined,
  );
});

test('has a digest of 64 lower-case digits, or is refused', () => {
  const hex = fc.stringMatching(/^[0-9a-fA-F]{63,65}$/);
  const isDigest = (one: unknown): void => {
    const parsed = unlessRefused(() => parseImageDigest(one, 'a:1'));
    const isGood = typeof one === 'string' && /^sha256:[0-9a-f]{64}$/.test(one);
    assert.is(parsed, isGood ? one : undefined);
  };
  const digits = hex.map((one) => `sha256:${one}`);
  const lower = digits.map((one) => one.toLowerCase());
  const spelled = fc.oneof(
    digits,
    lower,
    lower.map((one) => `${one}\n`),
    fc.anything(),
  );
  holds(fc.property(spelled, isDigest), 300);
});

test.run();
