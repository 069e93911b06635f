// Joins control groups, by their files cgroup.procs, sends requests to a socket in turn and prints the status and body of each as a line of JSON.
// usage: node host-caller.mjs GROUP[,GROUP] SOCKET METHOD:PATH...
//        node host-caller.mjs GROUP[,GROUP] SOCKET --leave METHOD:PATH [FILE]
//        the request is sent by a child after this process, whose pid is in the file, has ended
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';

const [group, socketPath, ...rest] = process.argv.slice(2);
for (const file of group.split(',').filter(Boolean)) writeFileSync(file, String(process.pid));

/** The socket is the child's standard input and output. */
const child = `
  process.stdin.on('data', (chunk) => process.stderr.write(chunk));
  process.stdin.on('end', () => process.exit());
  setTimeout(() => process.stdout.write(process.argv[1]), 300);
`;

function send(line) {
  const [, method, path] = /^([A-Z]+):(.*)$/.exec(line);
  const body = method === 'POST' ? '{"data":"AAAA"}' : '';
  return new Promise((resolve, reject) => {
    const headers = body === '' ? {} : { 'Content-Type': 'application/json' };
    const call = request({ socketPath, method, path, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode, json: JSON.parse(text) }));
    });
    call.on('error', reject);
    call.end(body);
  });
}

if (rest[0] === '--leave') {
  const [, method, path] = /^([A-Z]+):(.*)$/.exec(rest[1]);
  const text = `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
  const socket = connect(socketPath, () => {
    const stdio = [socket, socket, 'inherit'];
    if (rest[2] !== undefined) writeFileSync(rest[2], String(process.pid));
    spawn(process.execPath, ['-e', child, text], { stdio, detached: true }).unref();
    process.exit();
  });
} else {
  for (const line of rest) console.log(JSON.stringify(await send(line)));
}
