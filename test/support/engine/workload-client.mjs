// A module: calls every method of the workload API, prints one line of JSON and waits until it is stopped.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { request } from 'node:http';

const env = process.env;
const socketPath = new URL(env.IOTEDGE_WORKLOADURI).pathname;
const module = encodeURIComponent(env.IOTEDGE_MODULEID);
const generation = encodeURIComponent(env.IOTEDGE_MODULEGENERATIONID);

function send(method, path, body) {
  return new Promise((resolve, reject) => {
    const options = {
      socketPath,
      method,
      path: `${path}?api-version=2018-06-28`,
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      timeout: 30_000,
    };
    const call = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode, json: JSON.parse(text) }));
    });
    call.on('timeout', () => call.destroy(new Error('no response')));
    call.on('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const own = `/modules/${module}/genid/${generation}`;
const data = Buffer.from('hub%2Fdevices%2Fdevice\n1700000000').toString('base64');
const otherNames = (env.OTHER_NAMES ?? '').split(' ');
const initializationVector = Buffer.from('vector').toString('base64');
const plaintext = Buffer.from('plaintext').toString('base64');

async function report() {
  const signed = await send('POST', `${own}/sign`, { keyId: 'primary', algo: 'HMACSHA256', data });
  const bundle = await send('GET', '/trust-bundle');
  const serverOf = (commonName) => send('POST', `${own}/certificate/server`, { commonName });
  const server = await serverOf(env.IOTEDGE_MODULEID.replace('$', ''));
  const refusals = [];
  for (const name of otherNames) refusals.push((await serverOf(name)).status);
  const other = await send('POST', '/modules/other/certificate/identity');
  const sealed = await send('POST', `${own}/encrypt`, { plaintext, initializationVector });
  const { ciphertext } = sealed.json;
  const opened = await send('POST', `${own}/decrypt`, { ciphertext, initializationVector });
  const certificate =
    server.status === 201 ? new X509Certificate(server.json.certificate) : undefined;
  return {
    digest: signed.json.digest,
    bundle: bundle.json.certificate,
    serverStatus: server.status,
    chain: server.json.certificate,
    keyMatches:
      certificate?.checkPrivateKey(createPrivateKey(server.json.privateKey.bytes)) ?? false,
    refusals,
    otherStatus: other.status,
    opened: opened.json.plaintext === plaintext,
    env: Object.fromEntries(
      Object.entries(env).filter(([name]) => /^(IOTEDGE_|EdgeDevice|Mode$|NetworkId$)/.test(name)),
    ),
  };
}

process.on('SIGTERM', () => process.exit(0));
setInterval(() => {}, 60_000);
report().then(
  (found) => console.log(JSON.stringify(found)),
  (error) => console.log(JSON.stringify({ error: String(error) })),
);
