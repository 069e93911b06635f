import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EstYaml } from '../../../../src/certificates/config/est-settings.ts';
import { parseIssuer } from '../../../../src/certificates/config/issuer-settings.ts';

const test = suite('settings of an EST server');

function parse(settings: EstYaml & { readonly key_id?: string }) {
  const problems: string[] = [];
  const report = (path: readonly (string | number)[], message: string): void => {
    problems.push(`${path.join('.')}: ${message}`);
  };
  const parsed = parseIssuer({ method: 'est', ...settings }, ['issuers', 'x'], { report });
  return { parsed, problems };
}

const url = 'https://est.example.com:8443/';

test('has defaults for everything but the URL', () => {
  const { parsed, problems } = parse({ url });
  assert.equal(problems, []);
  assert.equal(parsed, {
    method: 'est',
    url: 'https://est.example.com:8443',
    label: undefined,
    trustedCa: [],
    username: undefined,
    passwordFile: undefined,
    identity: undefined,
    bootstrap: undefined,
    csrattrs: 'follow',
    proxy: undefined,
    timeoutMs: 60_000,
  });
  assert.equal(parse({}).problems, ['issuers.x.method: est needs url']);
});

test('accepts roots as one file or several', () => {
  const rootsOf = (trusted_ca: string | readonly string[]) => {
    const { parsed, problems } = parse({ url, trusted_ca });
    assert.equal(problems, []);
    return parsed.method === 'est' ? parsed.trustedCa : undefined;
  };
  assert.equal(rootsOf('/a.pem'), ['/a.pem']);
  assert.equal(rootsOf(['/a.pem', 'file:///b%20c']), ['/a.pem', '/b c']);
});

test('accepts a password in a file or a credential of the unit, with its user', () => {
  for (const password_file of ['/etc/password', 'est-password']) {
    assert.equal(parse({ url, username: 'device', password_file }).problems, []);
  }
});

const wrong: readonly (readonly [string, EstYaml & { readonly key_id?: string }])[] = [
  ['url', { url: 'https://user:pw@host' }],
  ['url', { url: 'https://host/?a' }],
  ['url', { url: 'https://ho st' }],
  ['username', { url, username: 'device' }],
  ['password_file', { url, password_file: 'x' }],
  ['password_file', { url, username: 'a', password_file: '../x' }],
  ['password_file', { url, username: 'a', password_file: '..' }],
  ['trusted_ca', { url, trusted_ca: 'a.pem' }],
  ['proxy', { url, proxy: 'http://' }],
  ['key_id', { url, key_id: 'a' }],
];

for (const [setting, settings] of wrong) {
  test(`reports ${JSON.stringify(settings)}`, () => {
    const { problems } = parse(settings);
    assert.is(problems.length, 1);
    assert.match(problems[0] ?? '', `issuers.x.${setting}: `);
    assert.not.match(problems[0] ?? '', 'pw');
  });
}

test('reports settings of an EST server for a local CA', () => {
  const problems: unknown[] = [];
  parseIssuer({ url }, ['issuers', 'x'], { report: (path) => problems.push(path) });
  assert.equal(problems, [['issuers', 'x', 'url']]);
});

test.run();
