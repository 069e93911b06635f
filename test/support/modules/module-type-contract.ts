import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type {
  Instance,
  InstanceSpec,
  ModuleType,
} from '../../../src/modules/supervisor/module-type.ts';
import { soon } from '../deadline.ts';
import { codeIn, failureOf } from '../failure.ts';

/** A type with what an instance needs already pulled; disposing of it removes all instances. */
export interface TypeUnderTest extends AsyncDisposable {
  readonly type: ModuleType;
  /** The specification of an instance that runs for a long time, or ends at once with exit code 3. */
  readonly spec: (behaviour: 'runs' | 'ends') => InstanceSpec;
}

const name = 'sensor';

async function create(spec: InstanceSpec): Promise<void> {
  const resolved = await spec.resolve({ refresh: false }, soon());
  await resolved?.create(name, soon());
}

async function found(type: ModuleType, ...parkedIds: readonly string[]): Promise<Instance> {
  const instance = await type.find({ name, knownId: undefined, parkedIds }, soon());
  if (instance === undefined) throw new Error('no instance');
  return instance;
}

/** Every type of modules passes these, whatever runs its instances. */
export function moduleTypeContract(
  kind: string,
  {
    open,
    close,
  }: { readonly open: () => Promise<TypeUnderTest>; readonly close: () => Promise<unknown> },
): void {
  const test = suite(`ModuleType: ${kind}`);
  test.after(async () => {
    await close();
  });

  test('creates, starts, stops and removes an instance, and lists it meanwhile', async () => {
    await using under = await open();
    const { type } = under;
    const spec = under.spec('runs');
    assert.is(await type.inspect(name, soon()), undefined);
    await create(spec);
    const { digest, id, ours, state } = await found(type);
    assert.equal([digest, ours, state.kind], [spec.digest, true, 'created']);
    assert.ok((await type.list(soon())).includes(name));
    await spec.start(name, soon());
    assert.is((await found(type)).state.kind, 'running');
    await type.stop(id, 0, soon());
    assert.is((await found(type)).state.kind, 'exited');
    await type.remove(id, soon());
    assert.is(await type.inspect(name, soon()), undefined);
    assert.not((await type.list(soon())).includes(name));
  });

  test('starts what runs, stops what is stopped and removes what is missing without a failure', async () => {
    await using under = await open();
    const { type } = under;
    const spec = under.spec('runs');
    await create(spec);
    const { id } = await found(type);
    for (const _time of [1, 2]) await spec.start(name, soon());
    for (const _time of [1, 2]) await type.stop(id, 0, soon());
    for (const _time of [1, 2]) await type.remove(id, soon());
    await type.stop(id, 0, soon());
  });

  test('says NotFound for what is missing, AlreadyExists for a name that is taken, Cancelled when aborted', async () => {
    await using under = await open();
    const { type } = under;
    const spec = under.spec('runs');
    assert.match(await failureOf(spec.start(name, soon())), 'NotFound');
    await create(spec);
    assert.match(await failureOf(create(spec)), 'AlreadyExists');
    const aborted = AbortSignal.abort();
    const failure: unknown = await type.inspect(name, aborted).catch((error: unknown) => error);
    assert.is(codeIn(failure), 'Cancelled');
  });

  test('reports how an instance has ended', async () => {
    await using under = await open();
    const { type } = under;
    const spec = under.spec('ends');
    const changes = await type.watch(soon());
    await create(spec);
    await spec.start(name, soon());
    for await (const changed of changes) {
      const { state } = await found(type);
      if (changed !== name || state.kind !== 'exited') continue;
      assert.equal([state.exitCode, state.finishedAt !== undefined], [3, true]);
      break;
    }
  });

  test('parks an instance, which leaves its name to another one, and gives it its name back', async () => {
    await using under = await open();
    const { type } = under;
    const spec = under.spec('runs');
    await create(spec);
    const { id } = await found(type);
    const parked = { id, name };
    assert.is(await type.findParked(parked, soon()), undefined);
    for (const _time of [1, 2]) await type.keep(parked, soon());
    await type.park(parked, soon());
    assert.is(await type.find({ name, knownId: id, parkedIds: [id] }, soon()), undefined);
    assert.equal((await type.findParked(parked, soon()))?.id, id);
    await create(spec);
    const next = await found(type, id);
    assert.is.not(next.id, id);
    assert.match(await failureOf(type.unpark(parked, soon())), 'AlreadyExists');
    // the new one may be parked, too
    await type.park({ id: next.id, name }, soon());
    const parkedIds = [id, next.id];
    assert.is(await type.find({ name, knownId: next.id, parkedIds }, soon()), undefined);
    await type.unpark(parked, soon());
    assert.is((await type.findParked({ id: next.id, name }, soon()))?.id, next.id);
    await type.remove(next.id, soon());
    assert.is((await found(type)).id, id);
    assert.is(await type.findParked(parked, soon()), undefined);
    await spec.start(name, soon());
    for (const _time of [1, 2]) await type.release(name, soon());
    assert.is((await found(type)).state.kind, 'running');
  });

  test('finds an instance that was renamed, and reports changes of a parked one as those of its module', async () => {
    await using under = await open();
    const { type } = under;
    await create(under.spec('runs'));
    const { id } = await found(type);
    await type.park({ id, name }, soon());
    // without a record of an update it is one that was renamed
    assert.is((await found(type)).id, id);
    await type.park({ id, name }, soon());
    const changes = await type.watch(soon());
    await type.remove(id, soon());
    for await (const changed of changes) {
      assert.is(changed, name);
      break;
    }
  });

  test.run();
}
