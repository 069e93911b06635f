/** The error messages of services, in the formats that they and the gateways in between use. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CloudResponse, failureOf } from '../../../../src/identity/cloud/cloud.ts';
import { readContent } from '../../../../src/identity/cloud/error-bodies.ts';

const test = suite('error messages of the cloud');

function messageOf(response: Partial<CloudResponse>): string {
  const whole = { status: 403, retryAfterS: undefined, body: undefined, ...response };
  return failureOf('PUT of module m', whole).message;
}

const quota = 'ErrorCode:QuotaExceeded;Total number of modules on the device exceeded';
const tracking = 'Tracking ID:0104-G:0-TimeStamp:01/02/2021 14:10:21';

test('are read from the two members that the hub returns', () => {
  const body = { Message: quota, ExceptionMessage: tracking };
  assert.is(messageOf({ body }), `PUT of module m: HTTP 403 (${quota}; ${tracking})`);
});

const shapes: readonly (readonly [string, Partial<CloudResponse>])[] = [
  ['names in any case', { body: { mESSAGE: quota, TRACKINGID: 't-1', ERRORCODE: 403004 } }],
  [
    'JSON in a text',
    { body: { Message: JSON.stringify({ errorCode: 403004, trackingId: 't-1', message: quota }) } },
  ],
  [
    'JSON in a text in JSON in a text',
    {
      body: JSON.stringify({
        Message: JSON.stringify({ error: JSON.stringify({ message: quota, code: 403004 }) }),
        trackingId: 't-1',
      }),
    },
  ],
  [
    'an error in an object',
    { body: { error: { code: '403004', message: quota, innererror: { 'tracking-id': 't-1' } } } },
  ],
  ['a list', { body: [{ message: [quota] }, { error_code: 403004, TrackingId: 't-1' }] }],
  ['the header of the hub', { body: { Message: quota, trackingId: 't-1' }, errorCode: '403004' }],
];

for (const [what, response] of shapes) {
  test(`are found in ${what}`, () => {
    const message = messageOf(response);
    assert.is(message, `PUT of module m: HTTP 403 (${quota}; error 403004; tracking id t-1)`);
  });
}

test('are not contradicted by a hint', () => {
  assert.not.match(messageOf({ errorCode: 'IotHubQuotaExceeded' }), 'disabled');
  assert.not.match(messageOf({ status: 401, body: { message: 'token has expired' } }), 'enrolled');
  assert.not.match(messageOf({ status: 404, errorCode: 'DeviceNotFound' }), 'does not know it');
  assert.match(messageOf({ status: 403 }), 'is the device or its enrollment disabled');
  assert.match(messageOf({ status: 403, body: { message: 'Forbidden' } }), 'enrollment disabled');
  const unauthorized = { message: 'Unauthorized', errorCode: 401002 };
  assert.match(messageOf({ status: 401, body: unauthorized }), 'is the device enrolled with it');
});

test('are extracted from an HTML page of a gateway', () => {
  const page =
    '<html><head><title>403 Forbidden</title><style>p{}</style></head><body>by the gateway</body>';
  assert.match(messageOf(readContent(Buffer.from(page))), '(403 Forbidden by the gateway)');
  assert.is(messageOf(readContent(Buffer.from('<p'))), messageOf({}));
  const endless = messageOf(readContent(Buffer.from('<script'.repeat(1 << 17))));
  assert.ok(endless.length < 600);
});

test('are read from arbitrary bytes', () => {
  const json = JSON.stringify({ Message: quota });
  const utf16 = Buffer.from(`\ufeff${json}`, 'utf16le');
  for (const bytes of [Buffer.from(json), Buffer.from(`\ufeff${json}`), utf16]) {
    assert.is(messageOf(readContent(bytes)), `PUT of module m: HTTP 403 (${quota})`);
  }
  const latin1 = Buffer.from('{"Message":"Gerät \xfc\x01"}', 'latin1');
  assert.match(messageOf(readContent(latin1)), /HTTP 403 \(Ger\ufffdt \ufffd\)$/);
  for (const nothing of [Buffer.alloc(0), Buffer.from(' \r\n'), Buffer.from('null')]) {
    assert.is(messageOf(readContent(nothing)), messageOf({}));
  }
});

test('are one line of limited length', () => {
  const long = { message: `a\0b\r\n\u202ec${'x'.repeat(100_000)}`, errorCode: 'y'.repeat(5000) };
  const message = messageOf({ body: long });
  assert.match(message, '(a b cxxx');
  assert.not.match(message, /[\p{C}\p{Zl}\p{Zp}]/u);
  assert.ok(message.length < 600, String(message.length));
  const many = Object.fromEntries(
    Array.from({ length: 99 }, (_, at) => [`${at}`, { message: at }]),
  );
  assert.ok(messageOf({ body: many }).length < 200);
});

test('are read from the first 256 values and 16 KiB only', () => {
  const values = Array.from({ length: 20 }, () => Array.from({ length: 20 }, () => 'x'));
  const plain = messageOf({ body: { values } });
  assert.is(messageOf({ body: { values: [...values, [[{ message: 'late' }]]] } }), plain);
  assert.match(messageOf({ body: { values: [{ message: 'early' }, ...values] } }), 'early');
  const page = (sizeBytes: number) => readContent(Buffer.from(`<p>${' '.repeat(sizeBytes)}late`));
  assert.match(messageOf(page(16_000)), 'late');
  assert.is(messageOf(page(17_000)), messageOf({}));
});

test('contain no secret, also where they are truncated', () => {
  const key = Buffer.alloc(32, 0xb7).toString('base64');
  for (const secret of [
    `SharedAccessSignature sr=a&sig=${encodeURIComponent(key)}&se=1`,
    `HostName=h;SharedAccessKey=${key}`,
    `${'x'.repeat(180)} ${key}`,
    JSON.stringify({ message: `bad key ${key}`, primaryKey: key }),
  ]) {
    const message = messageOf({ body: { Message: secret } });
    assert.not.match(message, key.slice(0, 12));
    assert.not.match(message, encodeURIComponent(key).slice(0, 12));
  }
});

test('may be missing, or contain no words', () => {
  for (const body of [null, true, {}, [], { message: null }, { message: {} }, { Message: '' }]) {
    assert.is(messageOf({ body }), messageOf({}));
  }
});

test('fall back to a hint for the status where the service gives none', () => {
  for (const [status, hint] of [
    [401, 'is the device enrolled with it'],
    [403, 'is the device or its enrollment disabled'],
    [404, 'the service does not know it'],
    [429, 'the service asks to slow down'],
    [500, 'the service has failed'],
    [503, 'the service is not available'],
    [400, ''],
    [409, ''],
    [412, ''],
  ] as const) {
    const message = messageOf({ status });
    assert.match(message, `PUT of module m: HTTP ${status}`);
    assert.is(message.includes(' ('), hint !== '', message);
    assert.match(message, hint);
    assert.not.match(messageOf({ status, body: { message: 'because' } }), hint || 'enrolled');
  }
});

test('are truncated to two hundred characters, and three messages', () => {
  const x = (count: number) => 'x y '.repeat(count / 4);
  assert.is(
    messageOf({ body: { message: x(200) } }),
    `PUT of module m: HTTP 403 (${x(200).trim()})`,
  );
  const cut = messageOf({ body: { message: `${x(200)}zz` } });
  assert.is(cut, `PUT of module m: HTTP 403 (${x(200)}…)`);
  const body = ['a', 'b', 'b', 'c', 'd'].map((message) => ({ message }));
  assert.is(messageOf({ body }), 'PUT of module m: HTTP 403 (a; b; c)');
});

test('do not repeat a code or a tracking id', () => {
  const body = { message: 'error 403004 of t-1', errorCode: 403004, trackingId: 't-1' };
  assert.is(messageOf({ body }), 'PUT of module m: HTTP 403 (error 403004 of t-1)');
  assert.is(
    messageOf({ body: { code: 5, trackingId: 'a' } }),
    'PUT of module m: HTTP 403 (error 5; tracking id a)',
  );
});

test.run();
