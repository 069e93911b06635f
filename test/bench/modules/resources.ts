import { setTimeout as sleep } from 'node:timers/promises';
import { median, type Result } from '../result.ts';
import type { BenchDevice } from './device.ts';
import { load, requestText } from './http-client.ts';

const modules = 20;
const get = (path: string): string => requestText('GET', `${path}?api-version=2020-07-07`);

async function requestMs(socketPath: string, request: string): Promise<number> {
  const { p50 } = await load({ socketPath, request, connections: 1 }, (done) => done > 0);
  return p50 / 1000;
}

/** GET /systeminfo/resources on the agent's management socket, and GET /modules while it is answered. */
export async function resources(device: BenchDevice, rounds: number): Promise<readonly Result[]> {
  const names = Array.from({ length: modules }, (_, index) => `r${index}`);
  for (const name of names) await device.run(name);
  const socketPath = device.socketOf('edgeAgent', 'mgmt');
  const waits: number[] = [];
  const lists: number[] = [];
  for (let round = 0; round < rounds; round++) {
    // what was read is answered for a second
    await sleep(1_100);
    const answer = requestMs(socketPath, get('/systeminfo/resources'));
    lists.push(await requestMs(socketPath, get('/modules')));
    waits.push(await answer);
  }
  for (const name of names) await device.delete(name);
  const result = (what: string, times: readonly number[], wanted: string): Result => ({
    what: `${what}, ${modules} modules`,
    measured: `${median(times).toFixed(0)} ms`,
    floor: `at most ${Math.max(...times).toFixed(0)} ms`,
    wanted,
  });
  return [
    result('GET /systeminfo/resources', waits, '< 2500 ms'),
    result('GET /modules meanwhile', lists, '< 50 ms'),
  ];
}
