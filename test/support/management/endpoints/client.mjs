// A module that sleeps until it is killed; with arguments it joins control groups, by their files cgroup.procs, sends
// requests one after another and prints the responses as one line of JSON: GROUP[,GROUP] SOCKETS REQUESTS (both JSON).
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';

const [groups, sockets, requests] = process.argv.slice(2);

function send({ api, method, target, headers, body }) {
  return new Promise((resolve, reject) => {
    const socketPath = JSON.parse(sockets)[api];
    const options = { socketPath, method, path: target, headers, agent: false, timeout: 30_000 };
    const call = request(options, (response) => {
      let text = '';
      response.setEncoding('latin1').on('data', (chunk) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode: status, headers: received } = response;
        resolve({ status, headers: received, text });
      });
    });
    call.on('timeout', () => call.destroy(new Error(`no response to ${method} ${target}`)));
    call.on('error', reject);
    call.end(body);
  });
}

if (groups === undefined) setInterval(() => {}, 1_000);
else {
  for (const group of groups.split(',').filter(Boolean)) writeFileSync(group, `${process.pid}`);
  const responses = [];
  for (const each of JSON.parse(requests)) responses.push(await send(each));
  console.log(JSON.stringify(responses));
}
