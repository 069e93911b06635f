import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { describeError, ServiceError } from '../../src/errors.ts';
import {
  holdsSecret,
  isMeantAsPkcs11Uri,
  quoted,
  shown,
  withoutSecrets,
} from '../../src/quoted.ts';
import { holds } from '../support/property.ts';

const test = suite('quoted');

const key = Buffer.alloc(32, 'SECRET1').toString('base64');

/** Texts with a secret in them, and the part of each that may be shown. */
const secrets: readonly (readonly [string, string])[] = [
  ['pkcs11:token=a;object=c?pin-value=SECRET1', 'pkcs11:token=a;object=c?…'],
  ['PKCS11:token=a?PIN-VALUE=SECRET1', 'PKCS11:token=a?…'],
  ['pkcs11:token=Edge pairs?pin-value=SECRET1', 'pkcs11:token=Edge pairs?…'],
  ['pkcs11:token=a;pin-value=SECRET1', 'pkcs11:token=a;…'],
  ['pkcs11:token=a&pin-value=SECRET1', 'pkcs11:…'],
  ['pkcs11:token=a?SECRET1', 'pkcs11:token=a?…'],
  ['pkcs11:pin-value=SECRET1', 'pkcs11:…'],
  ['pkcs11:SECRET1', 'pkcs11:…'],
  ['pkcs11:token=a%3Fpin-value%3DSECRET1', 'pkcs11:…'],
  ['pkcs11%3Atoken=a%3Fpin-value%3DSECRET1', 'pkcs11%3Atoken=…'],
  ['pkcs11%253Atoken%253Da%253Fpin-value%253DSECRET1', '…'],
  ['key://pkcs11:token=a?pin-value=SECRET1', 'key://…'],
  [' "pkcs11:token=a?pin-value=SECRET1"', ' "pkcs11:token=a?…'],
  ['pksc11:token=a?pin-value=SECRET1', 'pksc11:token=…'],
  ['%70in-value=SECRET1', '%70in-value=…'],
  ['%70in-value%3DSECRET1', '…'],
  ['pin-value: SECRET1', 'pin-value:…'],
  ['https://user:SECRET1@host/x', 'https://…'],
  ['https://user:SECRET1', 'https://…'],
  ['https://user:SEC/RET1@host', 'https://…'],
  ['HostName=h;DeviceId=d;SharedAccessKey=SECRET1', 'HostName=…'],
  ['SharedAccessKey: SECRET1', 'SharedAccessKey:…'],
  ['password:SECRET1', 'password:…'],
  ['Bearer SECRET1', 'Bearer …'],
  ['basic dXNlOlNFQ1JFVA==', 'basic …'],
  ['https://[::1]:SECRET1@host', 'https://…'],
  ['https://[::1]:SECRET1', 'https://…'],
  ['/etc?x=SECRET1', '/etc?…'],
  ['/etc/pin=SECRET1', '/etc/pin=…'],
  [`sha256 is not ${key}`, 'sha256 is not …'],
  [`sha256:${key}A==`, 'sha256:…'],
  ['{\\"password\\":\\"SECRET1\\"}', '{\\"password\\":…'],
  [key, '…'],
  ['-----BEGIN PRIVATE KEY-----\nSECRET1', '-----BEGIN…'],
];

test('truncates an untrusted text where a secret may begin', () => {
  for (const [text, public_] of secrets) assert.is(shown(text), public_, text);
});

test('shows a text without secrets unchanged', () => {
  const texts = [
    'device id',
    'iotedge/certificate/x@2',
    '$edgeAgent',
    'a?b*',
    'https://host:8883/path',
    'my-pkcs11-key',
    'pkcs11:token=a%20b;object=c',
    'spinner:1',
    '/etc/x=y',
    'https://[::1]:80/',
    'https://[fe80::1.2.3.4]',
    'SHA256:2jmj7l5rSw0yVb/vlWAYkK/YBwk3RkS9pNJ+Lm1Xk2c=',
    'sha256//2jmj7l5rSw0yVb/vlWAYkK/YBwk3RkS9pNJ+Lm1Xk2c=',
    'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
  ];
  for (const text of texts) assert.is(shown(text), text);
  assert.is(quoted('a"b'), '"a\\"b"');
});

test('shows no more than 160 characters', () => {
  assert.is(shown('x'.repeat(160)), 'x'.repeat(160));
  assert.is(shown('x'.repeat(1 << 20)), `${'x'.repeat(160)}…`);
});

test('processes a hostile text as fast as its first characters', () => {
  const parts = ['//', 'pkcs11:', 'pin=', '%25', '"pass', 'A', '://a', '-----BEGIN '];
  const others = ['pkcs11:id=a ', 'pkcs11:id=a;', '"pin":', '\\', 'pwd ', '%2525', 'Basic '];
  for (const part of [...parts, ...others]) {
    const hostile = part.repeat(1 << 18);
    assert.ok(shown(hostile).length <= 161);
    assert.ok(withoutSecrets(hostile).length <= 2 * 8192);
  }
  assert.ok(holdsSecret(`%${'25'.repeat(1 << 16)}`));
});

/** Secrets that are recognized in the middle of a message. */
const messages: readonly string[] = [
  'no key "pkcs11:token=a b?pin-value=1 SECRET1" here',
  'no key "pkcs11:token=a?pin-value=\\"SECRET1" here',
  "no key pkcs11:token=a?pin-value='SECRET1' here",
  'key PKCS11%3Atoken=a%3Fpin-value%3DSECRET1',
  'key pkcs11:token=a;pin-value=a;SECRET1',
  'cannot reach https://user:SECRET1@host/: refused',
  'HostName=h;SharedAccessKey=SECRET1',
  'SharedAccessSignature sr=a&sig=SECRET1&se=1',
  '{"username":"u","password":"SECRET1"}',
  'Authorization: Basic U0VDUkVUMQ==',
  'algorithm:pkcs11:slot-id=0;object=device id?SECRET1,usages:sign',
  'no key pkcs11:slot-id=0;object=device id;SECRET1',
  'no key "pkcs11:object=a \\"b\\" c?SECRET1"',
  'pkcs11:object=a; pkcs11:object=b c?SECRET1',
  '{"pin-value":-0.5e7SECRET1}',
  '{"password" : "a\\"SECRET1"}',
  '"{\\"password\\":\\"SECRET1\\"}"',
  '"{\\"password\\":\\"a\\\\\\"SECRET1\\"}"',
  '"{\\"pin\\":1SECRET1}"',
  'Password = SECRET1',
  'password="a SECRET1"',
  "password = 'a; SECRET1'",
  'pin-value="SECRET1"',
  'login with pin = a SECRET1',
  '"password=\\"SECRET1\\""',
  'object=a&p%69n-value=SECRET1',
  'object=a&p%2569n%2Dvalue%253dSECRET1',
  'pkcs11%253Aobject=a%253FSECRET1',
  `the key ${key}`,
  '-----BEGIN EC PRIVATE KEY-----\nSECRET1',
];

test('treats a text that is escaped too often to be parsed as a secret', () => {
  const secret = 'pin-value%3DSECRET1';
  const escaped = (times: number): string => secret.replaceAll('%', `%${'25'.repeat(times)}`);
  for (const times of [0, 1, 2, 3, 4, 1000]) {
    assert.ok(holdsSecret(escaped(times)), `${times}`);
    assert.not.match(shown(escaped(times)), /SECRET1/);
    assert.not.match(withoutSecrets(escaped(times)), /SECRET1/);
  }
  assert.ok(holdsSecret(`a%${'25'.repeat(8)}20b`));
  assert.is(shown(`a%${'25'.repeat(8)}20b`), '…');
  assert.is(shown('a%2520b 100%'), 'a%2520b 100%');
});

test('removes secrets from a message, and from an error and its causes', () => {
  for (const text of messages) {
    const error = new ServiceError('InvalidArgs', text, { cause: new Error(`because ${text}`) });
    for (const output of [withoutSecrets(text), error.message, describeError(error)]) {
      assert.not.match(output, /SECRET1|U0VDUkVU/, text);
    }
    assert.is(withoutSecrets(withoutSecrets(text)), withoutSecrets(text));
  }
});

test('leaves a message unchanged that only mentions secrets', () => {
  const texts = [
    'not a usable PKCS#11 URI: pin-source is not the absolute path of a file',
    'the token refuses the PIN: CKR_PIN_INCORRECT',
    'no token matches pkcs11:token=a;object=b',
    'Basic constraints of the certificate are missing',
    'unknown key "password" in "agent.config.auth"',
    'https://hub.example:443/devices/a: HTTP 401',
    'no token matches pkcs11:token=a b;object=c; insert it',
    'no token matches "pkcs11:token=a;object=b"; which one is it?',
    'the certificate "a": "password" is no name for it',
    '{"pins":[1],"keys":2}',
    'fingerprint "2jmj7l5rSw0yVb/vlWAYkK/YBwk3RkS9pNJ+Lm1Xk2c=" is not pinned',
    'digest: 2jmj7l5rSw0yVb/vlWAYkK/YBwk3RkS9pNJ+Lm1Xk2c=',
    'the pin sha256//2jmj7l5rSw0yVb/vlWAYkK/YBwk3RkS9pNJ+Lm1Xk2c= is not that of the server',
    'https://host/a%2Fb%20c%3Fd',
  ];
  for (const text of texts) assert.is(withoutSecrets(text), text);
});

test('distinguishes HTTP credentials from ordinary words', () => {
  // the colon is tried at each of the three possible places, without a digit there
  for (const user of ['use:egzehrpf', 'a:jeafxqfjwc', 'ab:words']) {
    const sent = Buffer.from(user).toString('base64').replaceAll('=', '');
    assert.is(withoutSecrets(`Authorization: Basic ${sent}`), 'Authorization: Basic …', user);
    assert.is(shown(`Basic ${sent}`), 'Basic …');
  }
  assert.is(shown('Basic Constraints'), 'Basic Constraints');
});

test('leaves the text after a PIN in a message', () => {
  const refused = withoutSecrets('login with pin=SECRET1; the token is locked (CKR_PIN_LOCKED)');
  assert.is(refused, 'login with pin=…; the token is locked (CKR_PIN_LOCKED)');
  assert.is(withoutSecrets('pin-value=SECRET1, try again'), 'pin-value=…, try again');
});

test('distinguishes a secret from the location of one', () => {
  for (const text of ['pkcs11:token=a?module-path=/x&pin-value=1', 'pkcs11:token=a;pin-value=1']) {
    assert.ok(holdsSecret(text), text);
  }
  for (const text of ['pkcs11:token=a?pin-source=file:/run/pin', 'file:///etc/key.pem', 'info']) {
    assert.not.ok(holdsSecret(text), text);
  }
});

/** The place of a secret, with the text before and after it. */
const places: readonly (readonly [string, string])[] = [
  ['pin-value=', ''],
  ['PIN=', ''],
  ['password = "', '"'],
  ['SharedAccessKey=', ';EntityPath=a'],
  ['sig=', '&se=1'],
  ['https://user:', '@host/a'],
  ['pkcs11:token=a?pin-value=', ''],
  ['pkcs11:object=a;', ''],
  ['{"secret":"', '"}'],
  ['-----BEGIN PRIVATE KEY-----\n', '\n-----END PRIVATE KEY-----'],
];

/** Text around a secret, such as configurations and messages have. */
const around = fc.string({
  unit: fc.oneof(
    fc.constantFrom(...Array.from('az09 ._-$/:;,=?&%@"\\\n')),
    fc.constantFrom('pkcs11:', '%25'),
  ),
  maxLength: 12,
});

test('shows no secret, whatever the text before and after it', () => {
  const property = fc.property(
    around,
    fc.constantFrom(...places),
    around,
    fc.nat({ max: 2 }),
    (before, [lead, end], after, escapes) => {
      let text = `${lead}SECRET1${end}`;
      for (let times = 0; times < escapes; times++) text = encodeURIComponent(text);
      assert.not.match(shown(`${before} ${text}${after}`), 'SECRET1');
    },
  );
  holds(property, 2000);
});

test('shows the beginning of any text, marked where it was truncated, as one JSON string', () => {
  const texts = fc.oneof(around, fc.string(), fc.string({ minLength: 150, maxLength: 170 }));
  const property = fc.property(texts, (text) => {
    const output = shown(text);
    const begin = output === text ? text : output.slice(0, -1);
    assert.ok(text.startsWith(begin) && output.length <= 161, JSON.stringify([text, output]));
    if (output !== text) assert.is(output.at(-1), '…');
    assert.is(JSON.parse(quoted(text)), output);
    assert.is(shown(output), output);
  });
  holds(property, 2000);
});

/** Words of a message, and the text between them. */
const words = fc.string({
  unit: fc.constantFrom('key ', 'a', '/etc/b', ': ', ', ', 'HTTP 401', ' (', 'ä'),
  maxLength: 5,
});

test('leaves no secret in a message, wherever it is', () => {
  const property = fc.property(
    words,
    fc.constantFrom(...places),
    words,
    (before, [lead, end], after) => {
      const text = `${before} ${lead}SECRET1${end} ${after}`;
      const safe = withoutSecrets(text);
      assert.not.match(safe, 'SECRET1', text);
      assert.is(withoutSecrets(safe), safe);
    },
  );
  holds(property, 1000);
});

test('truncates a message that is longer than 8192 characters', () => {
  assert.is(withoutSecrets('x'.repeat(8192)), 'x'.repeat(8192));
  assert.is(withoutSecrets('x'.repeat(8193)), `${'x'.repeat(8192)}…`);
});

test('recognizes an intended PKCS#11 URI, misspelled too', () => {
  const meant = [
    'pkcs11:object=a',
    ' "PKCS11:object=a',
    'key://pkcs11:object=a',
    'file:pkcs11:a',
    'pkcs#11: a',
    'pkcs-11:a',
    'pkcs11;object=a',
    'pkcs11%3Aobject=a',
    'pkcs11%253Aobject=a',
  ];
  for (const text of meant) assert.is(isMeantAsPkcs11Uri(text), true, text);
  for (const text of ['my-pkcs11:a', 'pkcs11', 'pkcs12:a', 'device-id', '', 'a/pkcs11:b']) {
    assert.is(isMeantAsPkcs11Uri(text), false, text);
  }
});

test.run();
