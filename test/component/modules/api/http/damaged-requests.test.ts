/** Requests with bytes changed, removed, inserted or cut off: each gets a response or its connection is closed. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { numbers } from '../../../../support/numbers.ts';
import { genid, version, WorkloadApi } from '../../../../support/workload/api.ts';
import { RawClient, rawRequest } from '../../../../support/workload/raw-client.ts';

const test = suite('damaged requests');
const below = numbers(20_261_126);

const body = JSON.stringify({ data: 'AAAA', plaintext: 'AAAA', initializationVector: '' });
const chunk = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
const whole = [
  rawRequest(`GET /trust-bundle?${version}`),
  rawRequest(`POST ${genid}/sign?${version}`, { body }),
  rawRequest(`POST ${genid}/sign?${version}`, { body, headers: { Expect: '100-continue' } }),
  rawRequest(`POST ${genid}/encrypt?${version}`, { headers: { 'Transfer-Encoding': 'chunked' } }) +
    chunk,
  rawRequest(`POST /absent?${version}`, { headers: { 'Content-Length': '100' } }),
  'CONNECT hub:443 HTTP/1.1\r\n\r\n',
];

function damaged(bytes: Buffer): Buffer {
  const at = below(bytes.length);
  const any = Buffer.from([below(256)]);
  switch (below(4)) {
    case 0:
      return Buffer.concat([bytes.subarray(0, at), any, bytes.subarray(at + 1)]);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), any, bytes.subarray(at)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + below(20))]);
    default:
      return bytes.subarray(0, at + 1);
  }
}

function requests(): Buffer {
  const texts = Array.from({ length: 1 + below(4) }, () => whole[below(whole.length)] ?? '');
  let bytes = Buffer.from(texts.join(''));
  for (let left = below(5); left > 0; left--) bytes = Buffer.from(damaged(bytes));
  return bytes;
}

/** The responses to such requests until the end of the connection; some clients disconnect before. */
async function exchange(socketPath: string): Promise<string> {
  using client = new RawClient(socketPath);
  const bytes = requests();
  const half = below(bytes.length);
  client.send(bytes.subarray(0, half), bytes.subarray(half));
  if (below(8) === 0) return '';
  client.socket.end();
  await client.untilEnd();
  return client.unread;
}

test('get a JSON response with a one-word reason phrase, or are closed, and the next one is served', async () => {
  await using api = await WorkloadApi.open();
  const received: string[] = [];
  const client = async (): Promise<void> => {
    for (let left = 30; left > 0; left--) received.push(await exchange(api.socketPath));
  };
  await Promise.all(Array.from({ length: 20 }, client));
  const lines = received.flatMap((text) => [...text.matchAll(/HTTP\/1\.1 ([^\r]*)\r\n/g)]);
  assert.ok(lines.length > 500, `${lines.length} responses`);
  for (const [, line = ''] of lines) {
    assert.match(line, /^(100 Continue|200 OK|(400|404|413|414|417|422) [A-Z][a-z]+)$/);
  }
  assert.is((await api.request('GET', `/trust-bundle?${version}`)).status, 200);
});

test.run();
