/** Containers as a type of modules, on a real engine. */
import { ContainerSpec } from '../../../../src/modules/docker/container-spec.ts';
import { DockerModules } from '../../../../src/modules/docker/docker-modules.ts';
import { DockerEngine } from '../../../../src/modules/docker/engine/docker-engine.ts';
import {
  digestLabel,
  moduleLabel,
  owner,
  ownerLabel,
} from '../../../../src/modules/docker/labels.ts';
import { importBusybox } from '../../../support/engine/images.ts';
import { PrivateEngine } from '../../../support/engine/private-engine.ts';
import { silentLog } from '../../../support/log.ts';
import {
  moduleTypeContract,
  type TypeUnderTest,
} from '../../../support/modules/module-type-contract.ts';

const image = 'localhost/busybox:1';
const commands = { runs: ['sleep', '1000'], ends: ['sh', '-c', 'exit 3'] };
const Labels = { [ownerLabel]: owner, [digestLabel]: 'abc', [moduleLabel]: 'sensor' };
let machine: PrivateEngine | undefined;

/** The containers of an engine that all tests share. */
async function open(): Promise<TypeUnderTest> {
  if (machine === undefined) {
    machine = await PrivateEngine.start();
    await importBusybox(machine, image);
  }
  const { docker, socketPath } = bound(machine);
  const engine = new DockerEngine(socketPath);
  return {
    type: new DockerModules(engine, silentLog),
    spec: (behaviour) =>
      new ContainerSpec({
        engine,
        digest: 'abc',
        image: { image, auth: undefined, imagePullPolicy: 'never' },
        body: { Image: image, Cmd: commands[behaviour], StopSignal: 'SIGKILL', Labels },
        network: { name: 'bridge' },
        check: () => Promise.resolve(),
      }),
    async [Symbol.asyncDispose]() {
      const ids = await docker('ps', '-aq');
      for (const id of ids.split('\n').filter(Boolean)) await docker('rm', '-fv', id);
    },
  };
}

function bound(engine: PrivateEngine) {
  const docker = (...args: readonly string[]) => engine.docker(...args);
  return { docker, socketPath: engine.socketPath };
}

moduleTypeContract('docker', { open, close: async () => machine?.[Symbol.asyncDispose]() });
