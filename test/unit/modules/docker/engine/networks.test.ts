import { setImmediate as pause } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EngineConnection } from '../../../../../src/modules/docker/engine/connection/engine-connection.ts';
import { EngineNetworks } from '../../../../../src/modules/docker/engine/networks.ts';

const test = suite('networks of an engine');
const { signal } = new AbortController();

/** An engine without networks, in which another client is as fast as this one. */
function engine() {
  const trace: string[] = [];
  const refused = (statusCode: number) => Object.assign(new Error('no'), { statusCode });
  const docker = {
    getNetwork: (name: string) => ({
      inspect: async () => {
        trace.push(`inspect ${name}`);
        await pause();
        throw refused(404);
      },
    }),
    createNetwork: async ({ Name }: { readonly Name: string }) => {
      await pause();
      trace.push(`create ${Name}`);
      throw refused(409);
    },
  };
  const request = (_what: object, _signal: AbortSignal, run: (client: unknown) => unknown) =>
    run(docker);
  return { trace, networks: new EngineNetworks({ request } as unknown as EngineConnection) };
}

test('are created one at a time, or by another client meanwhile', async () => {
  const { networks, trace } = engine();
  await Promise.all([1, 2].map(() => networks.ensure({ name: 'edge' }, signal)));
  assert.equal(trace, ['inspect edge', 'create edge', 'inspect edge', 'create edge']);
});

test.run();
