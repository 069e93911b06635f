/** The workload API with the HTTP clients that modules use, or the exact bytes that they send. */
import { Agent, request } from 'node:http';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outputOf } from '../../../support/command.ts';
import { genid, version, WorkloadApi } from '../../../support/workload/api.ts';
import { RawClient } from '../../../support/workload/raw-client.ts';

const test = suite<{ api: WorkloadApi }>('clients of the workload API');
const sign = `${genid}/sign?${version}`;
const absent = `/absent?${version}`;
const body = JSON.stringify({ keyId: 'primary', algo: 'HMACSHA256', data: 'AAAA' });
const large = 'x'.repeat(1 << 20);

test.before(async (context) => {
  context.api = await WorkloadApi.open();
});

test.after(async ({ api }) => {
  await api[Symbol.asyncDispose]();
});

async function curl(api: WorkloadApi, target: string, ...args: readonly string[]) {
  const show = ['-sS', '--max-time', '30', '-w', '\n%{http_code} %{num_connects}'];
  const url = `http://localhost${target}`;
  const options = ['--globoff', '--unix-socket', api.socketPath, ...show, ...args, url];
  const output = await outputOf('curl', options, { input: large });
  const [status, connects] = output.toString().split('\n').at(-1)?.split(' ') ?? [];
  return { status, connects, text: output.toString().split('\n')[0] ?? '' };
}

test('curl signs, with a length, in chunks, and after 100 Continue', async ({ api }) => {
  const json = ['-H', 'Content-Type: application/json'];
  for (const args of [
    ['-d', body],
    ['-d', body, '-H', 'Transfer-Encoding: chunked'],
    ['-d', body, '-H', 'Expect: 100-continue'],
    ['-d', body, '--http1.0'],
    ['-d', body, '-H', 'Host:'],
  ]) {
    assert.is((await curl(api, sign, ...json, ...args)).status, '200', args.join(' '));
  }
  // of the type of a form, which curl adds
  assert.is((await curl(api, sign, '-d', body)).status, '400');
});

test('curl reads the reason that its megabyte is refused', async ({ api }) => {
  const upload = ['-X', 'POST', '--data-binary', '@-'];
  for (let left = 10; left > 0; left--) {
    for (const expect of ['Expect:', 'Expect: 100-continue']) {
      const { status, text } = await curl(api, absent, ...upload, '-H', expect);
      assert.equal([status, text], ['404', '{"message":"not found"}']);
    }
  }
});

test('curl reuses its connection after a failure', async ({ api }) => {
  const { connects } = await curl(
    api,
    `/trust-bundle?${version}`,
    `http://localhost${absent}`,
    '-o',
    '/dev/null',
  );
  assert.is(connects, '0');
});

const python = `
import http.client, json, socket, sys
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(sys.argv[1])
connection = Connection('localhost', timeout=30)
found = []
def ask(path, body):
    connection.request('POST', path, body, {'Content-Type': 'application/json'})
    response = connection.getresponse()
    found.append([response.status, response.reason, sorted(json.loads(response.read()))])
for _ in range(20):
    ask(sys.argv[2], 'x' * (1 << 20))
    ask(sys.argv[3], sys.argv[4])
    ask(sys.argv[3], iter([sys.argv[4].encode()]))
print(json.dumps(found))
`;

test('http.client of Python signs and reads failures on one connection', async ({ api }) => {
  const output = await outputOf('python3', ['-c', python, api.socketPath, absent, sign, body]);
  const each = [
    [404, 'Missing', ['message']],
    [200, 'OK', ['digest']],
    [200, 'OK', ['digest']],
  ];
  assert.equal(JSON.parse(output.toString()), Array.from({ length: 20 }, () => each).flat());
});

test("Node's agent reuses its connections, also after failures", async ({ api }) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const sockets = new Set<unknown>();
  const ask = (path: string, text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const call = request({ socketPath: api.socketPath, method: 'POST', path, agent });
      call.on('socket', (socket) => sockets.add(socket));
      call.on('response', (response) => {
        response.resume();
        response.on('end', resolve);
      });
      call.on('error', reject);
      call.end(text);
    });
  for (let round = 0; round < 10; round++) {
    await Promise.all([ask(sign, body), ask(absent, large), ask(absent, ''), ask(sign, '{')]);
  }
  agent.destroy();
  assert.is(sockets.size, 4);
});

/** The status line as Java's SDK splits it, and the body, which it reads until the connection is closed. */
async function asJava(api: WorkloadApi, target: string, text: string) {
  using client = new RawClient(api.socketPath);
  client.send(`POST ${target} HTTP/1.1\r\nConnection: close\r\nHost: workload.sock:80\r\n`);
  client.send('Content-Type: application/json\r\nUser-Agent: Java\r\n');
  client.send(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
  await client.untilEnd();
  assert.is(client.errorCode, undefined);
  const { statusLine, headers, body: reply } = await client.response();
  assert.is(headers.get('connection'), 'close');
  return { parts: statusLine.split(' '), reply };
}

test('a client that closes after each request reads to the end, with three parts in the status line', async ({
  api,
}) => {
  const statuses = [
    [sign, body, '200', 'OK'],
    [absent, body, '404', 'Missing'],
    [absent, large, '404', 'Missing'],
    [sign, '{', '422', 'Unprocessable'],
    [`${genid}/certificate/server?${version}`, '{"commonName":"later"}', '503', 'Unavailable'],
    [`${genid}/certificate/server?${version}`, '{"commonName":"many"}', '503', 'Unavailable'],
  ] as const;
  for (const [target, text, status, reason] of statuses) {
    const { parts, reply } = await asJava(api, target, text);
    assert.equal(parts, ['HTTP/1.1', status, reason]);
    assert.ok(JSON.parse(reply));
  }
});

test('a client of Go sends its head and each chunk separately', async ({ api }) => {
  using client = new RawClient(api.socketPath);
  const head = `POST ${sign} HTTP/1.1\r\nHost: iotedge\r\nUser-Agent: Go-http-client/1.1\r\nTransfer-Encoding: chunked\r\nAccept-Encoding: gzip\r\n\r\n`;
  for (let left = 3; left > 0; left--) {
    client.send(head);
    client.send(`${body.length.toString(16)}\r\n`, body, '\r\n');
    client.send('0\r\n\r\n');
    assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK');
  }
});

test.run();
