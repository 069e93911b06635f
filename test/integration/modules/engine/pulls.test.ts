/** Pulls from a real registry with passwords, and images that the engine lost while a container uses them. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { RegistryAuth } from '../../../../src/modules/docker/engine/container-engine.ts';
import { DockerEngine } from '../../../../src/modules/docker/engine/docker-engine.ts';
import { moduleLabel, owner, ownerLabel } from '../../../../src/modules/docker/labels.ts';
import { soon } from '../../../support/deadline.ts';
import { importBusybox } from '../../../support/engine/images.ts';
import { PrivateEngine } from '../../../support/engine/private-engine.ts';
import { Registry } from '../../../support/engine/registry.ts';
import { failureOf, messageOf } from '../../../support/failure.ts';

interface Context {
  machine: PrivateEngine;
  engine: DockerEngine;
  closed: Registry;
  open: Registry;
}

const test = suite<Context>('pulls');
const image = 'localhost/busybox:1';
/** In base64 it has characters that a URL may not have. */
const password = 's3cret??>>';
const htpasswd = 'edge:$2b$05$abcdefghijklmnopqrstuuO/cRc5DMy7dSJGQiQ1VqnIQGiwOZwEK\n';
const good = { username: 'edge', password };

/** How a pull fails: its code and its message. */
async function failure({ engine }: Context, reference: string, auth?: RegistryAuth) {
  const message = await messageOf(engine.pull(reference, { auth }, soon()));
  assert.not.ok(message.includes(password));
  return message;
}

test.before(async (context) => {
  const machine = await PrivateEngine.start();
  context.machine = machine;
  context.engine = new DockerEngine(machine.socketPath);
  await importBusybox(machine, image);
  context.closed = await Registry.start(machine, 5005, htpasswd);
  context.open = await Registry.start(machine, 5006);
  const { address } = context.closed;
  await machine.docker('login', '-u', good.username, '-p', password, address);
  await context.closed.push(image, `${address}/closed:1`);
  await machine.docker('logout', address);
  await machine.docker('rmi', `${address}/closed:1`);
});

test.after(async ({ machine, closed, open }) => {
  await closed?.[Symbol.asyncDispose]();
  await open?.[Symbol.asyncDispose]();
  await machine?.[Symbol.asyncDispose]();
});

test('log in at the registry, and fail with its reason', async (context) => {
  const { closed, engine } = context;
  const reference = `${closed.address}/closed:1`;
  assert.match(await failure(context, reference), /^InvalidArgs: .*no basic auth credentials/);
  const wrong = { username: 'edge', password: 'wrong' };
  assert.match(await failure(context, reference, wrong), /^InvalidArgs: .*unauthorized/);
  assert.is(await engine.findImage(reference, soon()), undefined);
  assert.is(
    await failure(context, reference, { ...good, serveraddress: closed.address }),
    'no failure',
  );
  assert.is.not(await engine.findImage(reference, soon()), undefined);
});

test('fail with the reason when the registry has no such image, or a damaged one', async (context) => {
  const { engine, machine, open } = context;
  const reference = `${open.address}/damaged:1`;
  assert.match(await failure(context, reference), /^NotFound: .*manifest/);
  const container = await machine.docker('create', image);
  await machine.docker('commit', container, 'damaged:1');
  await machine.docker('rm', container);
  await open.push('damaged:1', reference);
  await machine.docker('rmi', '-f', reference, 'damaged:1', image);
  await machine.docker('image', 'prune', '-af');
  await open.damageLayers(100_000);
  assert.match(
    await failure(context, reference),
    /^Unavailable: .*(verification|digest|unexpected|flate|corrupt)/,
  );
  assert.is(await engine.findImage(reference, soon()), undefined);
  await importBusybox(machine, image);
});

test('are not needed by a container whose image the engine has no record of', async (context) => {
  const { closed, engine, machine } = context;
  const reference = `${closed.address}/closed:1`;
  assert.is(await failure(context, reference, good), 'no failure');
  const Labels = { [ownerLabel]: owner, [moduleLabel]: 'orphan' };
  const body = { Image: reference, Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL', Labels };
  await engine.create('orphan', body, soon());
  // as engines from 29 on do by themselves when the tag moves
  await machine.docker('rmi', '-f', reference);
  assert.is(await engine.findImage(reference, soon()), undefined);
  assert.equal(await engine.list(soon()), ['orphan']);
  await engine.start('orphan', soon());
  assert.is((await engine.inspect('orphan', soon()))?.state.kind, 'running');
  await engine.stop('orphan', 1, soon());
  assert.is((await engine.images.used(soon())).size, 1);
  await engine.remove('orphan', soon());
  assert.is(await failureOf(engine.start('orphan', soon())), 'NotFound');
});

test.run();
