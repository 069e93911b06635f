import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectAs } from '../../support/clients/connect-as.ts';
import { until } from '../../support/deadline.ts';
import { Rig } from '../../support/rig/rig.ts';
import { rigUsers } from '../../support/rig/rig-users.ts';

const test = suite('descriptors under the policy of the services');
const script = fileURLToPath(
  new URL('../../../../test/support/clients/descriptor-client.py', import.meta.url),
);

// closing a descriptor may take as long as its sender chooses: a socket with SO_LINGER and unsent bytes
test('reach no connection of a service, not even in signals', async () => {
  await using rig = await Rig.start({ token: false, polkit: false });
  const uid = rigUsers['iotedge-keys'];
  await using service = await connectAs(rig.address, { uid, gid: uid });
  const received: string[] = [];
  const { uniqueName } = service;
  await service.subscribe({ interface: 'org.iotedge.Test1' }, ({ member }) => {
    received.push(member);
  });
  // another uid may not be able to read the checkout
  const options = { user: 'alice', input: await readFile(script) } as const;
  const args = ['-', rig.address, uniqueName];
  const { code, stderr } = await rig.run('/usr/bin/python3', args, options);
  assert.is(code, 0, stderr);
  await until(15_000, 'the signal', () => received.length > 0);
  assert.equal(received, ['Plain']);
});

test.run();
