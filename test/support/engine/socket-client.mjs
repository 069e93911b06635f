// A module that sleeps until it is killed, or sends one request on a unix socket: <socket> <method> <path> [body].
import { request } from 'node:http';

const [socketPath, method, path, body] = process.argv.slice(2);
if (socketPath === undefined) setInterval(() => {}, 1_000);
else {
  const headers = body === undefined ? {} : { 'Content-Type': 'application/json' };
  request({ socketPath, method, path, headers }, (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk) => {
      text += chunk;
    });
    response.on('end', () => {
      console.log(JSON.stringify({ status: response.statusCode, json: JSON.parse(text || '{}') }));
    });
  }).end(body);
}
