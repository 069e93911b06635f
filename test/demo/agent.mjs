// The module of the demonstration: requests a signature, the trust bundle and a server certificate from its workload
// socket, verifies the certificate against the trust bundle, and prints the outcome of each.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { request } from 'node:http';

const {
  IOTEDGE_WORKLOADURI: workload = '',
  IOTEDGE_MODULEID: moduleId = '',
  IOTEDGE_MODULEGENERATIONID: generationId = '',
  IOTEDGE_IOTHUBHOSTNAME: hub = '',
  IOTEDGE_DEVICEID: device = '',
} = process.env;

/** One request to the workload API; rejects with the body of an error response. */
function send(method, path, body) {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        socketPath: new URL(workload).pathname,
        method,
        path: `${path}?api-version=2020-07-07`,
        headers: { 'Content-Type': 'application/json' },
        timeout: 30_000,
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => {
          text += part;
        });
        response.on('end', () => {
          if (response.statusCode < 300) resolve(JSON.parse(text));
          else reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`));
        });
      },
    );
    call.on('timeout', () => call.destroy(new Error(`${method} ${path}: no response`)));
    call.on('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const certificatesIn = (pem) =>
  (pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []).map(
    (text) => new X509Certificate(text),
  );

/** The subjects from a leaf to a trusted root; throws for an invalid chain. */
function verify(chain, trusted) {
  const subjects = [];
  for (let current = chain[0], rest = chain.slice(1); current !== undefined; ) {
    subjects.push(current.subject.replaceAll('\n', ', '));
    const issuer = [...rest, ...trusted].find(
      (other) => current.checkIssued(other) && current.verify(other.publicKey),
    );
    if (issuer === undefined) throw new Error(`no trusted issuer of ${current.subject}`);
    if (trusted.some((root) => root.fingerprint256 === issuer.fingerprint256)) {
      return [...subjects, issuer.subject];
    }
    rest = rest.filter((other) => other !== issuer);
    current = issuer;
  }
  throw new Error('there is no certificate');
}

async function report() {
  const own = `/modules/${encodeURIComponent(moduleId)}/genid/${encodeURIComponent(generationId)}`;
  console.log(`I am ${moduleId} on ${device} at ${hub}`);
  const data = Buffer.from(`${hub}/devices/${device}/modules/${moduleId}\n1900000000`);
  const signed = await send('POST', `${own}/sign`, {
    keyId: 'primary',
    algo: 'HMACSHA256',
    data: data.toString('base64'),
  });
  console.log(
    `signature of ${Buffer.from(signed.digest, 'base64').length} bytes from a key that I never see`,
  );
  const bundle = certificatesIn((await send('GET', '/trust-bundle')).certificate);
  console.log(`trust bundle: ${bundle.map(({ subject }) => subject).join('; ')}`);
  const server = await send('POST', `${own}/certificate/server`, {
    commonName: moduleId.replace('$', ''),
    expiration: new Date(Date.now() + 86_400_000).toISOString(),
  });
  const chain = certificatesIn(server.certificate);
  if (!chain[0]?.checkPrivateKey(createPrivateKey(server.privateKey.bytes))) {
    throw new Error('the key does not belong to the certificate');
  }
  console.log(`server certificate: ${verify(chain, bundle).join(' <- ')}`);
  console.log('all is well');
}

process.on('SIGTERM', () => process.exit(0));
setInterval(() => {}, 60_000);
report().catch((error) => console.log(`failed: ${error.message}`));
