// A module like those with the SDK for Node: signs a token whenever the previous one is about to expire, and exits by an
// uncaught error when that fails. usage: renewing-client.mjs SOCKET PATH VALIDITY_MS — prints the status of each renewal.
import { request } from 'node:http';

const [socketPath, path, validityMs] = process.argv.slice(2);

function sign() {
  const data = Buffer.from(`hub\n${Date.now()}`).toString('base64');
  return new Promise((resolve, reject) => {
    const options = { socketPath, method: 'POST', path };
    const call = request(options, (response) => {
      response.resume();
      response.on('end', () => {
        if (response.statusCode === 200) resolve();
        else reject(new Error(`${response.statusCode} ${response.statusMessage}`));
      });
    });
    call.on('error', reject);
    call.end(JSON.stringify({ keyId: 'primary', algo: 'HMACSHA256', data }));
  });
}

async function renew() {
  await sign();
  console.log('renewed');
  setTimeout(renew, Number(validityMs));
}

await renew();
