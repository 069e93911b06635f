import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isDamage, isLeftover } from '../../../../../src/modules/docker/engine/damage.ts';

const test = suite('messages of an engine that refuses a start');
const id = 'f66234e7b80d027b586b17e5001a197cad5a8a5b0cb1d86ee879143b1fd829ef';

for (const message of [
  `task ${id}: already exists`,
  'id already in use',
  `OCI runtime create failed: container with id exists: ${id}: unknown`,
  `failed to create task for container: failed to start shim: mkdir /run/containerd/io.containerd.runtime.v2.task/moby/${id}: file exists`,
]) {
  test(`are about what containerd has left: ${message}`, () => {
    assert.ok(isLeftover(message));
    assert.not(isDamage(message));
  });
}

for (const message of [
  'Conflict. The container name "/sensor" is already in use by container "f66234e7"',
  'driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated',
  'mkdir /run/iotedge: file exists',
]) {
  test(`are about another cause: ${message}`, () => {
    assert.not(isLeftover(message));
    assert.not(isDamage(message));
  });
}

test.run();
