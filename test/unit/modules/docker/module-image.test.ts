import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ErrorCode, ServiceError } from '../../../../src/errors.ts';
import {
  mayMove,
  parsePullPolicy,
} from '../../../../src/modules/docker/create-options/image-policy.ts';
import type { Image, PullOptions } from '../../../../src/modules/docker/engine/container-engine.ts';
import {
  keptTag,
  ModuleImage,
  type PulledImage,
} from '../../../../src/modules/docker/module-image.ts';
import { codeIn } from '../../../support/failure.ts';

const test = suite('module image');
const { signal } = new AbortController();
const digest = `sha256:${'a'.repeat(64)}`;
const had: Image = { id: 'sha256:0', digests: [digest] };
const wanted: PulledImage = { image: 'a:1', auth: undefined };

/** An engine that has an image, or gets one by a pull that may fail. */
function imageWith({
  present,
  pulled = present,
  failure,
}: {
  readonly present?: Image | undefined;
  readonly pulled?: Image | undefined;
  readonly failure?: ErrorCode;
}) {
  const pulls: (readonly [string, PullOptions])[] = [];
  const lookups: string[] = [];
  const engine = {
    findImage: (reference: string) => {
      lookups.push(reference);
      return Promise.resolve(pulls.length > 0 && failure === undefined ? pulled : present);
    },
    pull: (reference: string, options: PullOptions) => {
      pulls.push([reference, options]);
      if (failure === undefined) return Promise.resolve();
      return Promise.reject(new ServiceError(failure, 'no registry'));
    },
  };
  const pull = async (one: PulledImage): Promise<string> => {
    try {
      return `pulled ${await new ModuleImage(engine, one).pull(() => {}, signal)}`.trim();
    } catch (error) {
      return codeIn(error);
    }
  };
  const find = (one: PulledImage, refresh: boolean) =>
    new ModuleImage(engine, one).find({ refresh }, signal);
  return { find, pull, pulls, lookups };
}

test('counts as missing for a refresh, and the engine is not queried', async () => {
  const { find, lookups } = imageWith({ present: had });
  assert.is(await find(wanted, true), undefined);
  assert.equal(lookups, []);
  assert.is(await find(wanted, false), 'a:1');
});

test('is the one in the engine if its reference is immutable or it must not be pulled', async () => {
  const { find } = imageWith({ present: had });
  for (const more of [
    { imageDigest: digest },
    { image: `a@${digest}` },
    { imagePullPolicy: 'never' },
  ] as const) {
    assert.is(mayMove({ ...wanted, ...more }), false);
    assert.ok(await find({ ...wanted, ...more }, true), JSON.stringify(more));
  }
  assert.is(mayMove(wanted), true);
  assert.is(mayMove({ ...wanted, imagePullPolicy: 'on-create' }), true);
});

test('is identified by its id if a digest is required, and missing if the digest differs', async () => {
  const found = (present: Image | undefined, imageDigest?: string) =>
    imageWith({ present }).find({ ...wanted, imageDigest }, false);
  assert.is(await found(had, digest), 'sha256:0');
  assert.is(await found({ id: digest, digests: [] }, digest), digest);
  assert.is(await found({ id: 'sha256:0', digests: ['sha256:other'] }, digest), undefined);
  assert.is(await found(had), 'a:1');
  assert.is(await found(undefined), undefined);
  assert.is(await found(undefined, digest), undefined);
});

test('is the one that is kept, by its id, unless that is missing or not the demanded one', async () => {
  const kept = keptTag('sensor');
  const id = 'sha256:former';
  const found = (former: Image | undefined, imageDigest?: string) => {
    const findImage = (reference: string) =>
      Promise.resolve(reference === 'iotedge-parked:sensor' ? former : had);
    const engine = { findImage, pull: () => Promise.reject(new Error('not called')) };
    const image = new ModuleImage(engine, { ...wanted, imageDigest });
    return image.find({ refresh: false, kept }, signal);
  };
  assert.is(await found({ id, digests: [] }), id);
  assert.is(await found({ id, digests: [digest] }, digest), id);
  assert.is(await found({ id, digests: [] }, digest), had.id);
  assert.is(await found(undefined), 'a:1');
});

test('is pulled with the credentials for it', async () => {
  const { pull, pulls } = imageWith({ pulled: had });
  const auth = { username: 'u', password: 'p' };
  assert.is(await pull({ ...wanted, auth }), 'pulled');
  assert.equal(
    pulls.map(([reference, options]) => [reference, options.auth]),
    [['a:1', auth]],
  );
});

test('is never pulled when the policy is never', async () => {
  const { pull, pulls } = imageWith({});
  assert.is(await pull({ ...wanted, imagePullPolicy: 'never' }), 'NotFound');
  assert.equal(pulls, []);
});

test('is refused if that of the registry has another digest', async () => {
  const other = { id: 'sha256:0', digests: [] };
  assert.is(
    await imageWith({ pulled: other }).pull({ ...wanted, imageDigest: digest }),
    'InvalidArgs',
  );
  assert.is(await imageWith({ pulled: had }).pull({ ...wanted, imageDigest: digest }), 'pulled');
  assert.is(await imageWith({ pulled: other }).pull(wanted), 'pulled');
});

test('is the one in the engine while the registry is unreachable, with a warning', async () => {
  const away = imageWith({ present: had, failure: 'Unavailable' });
  const warning = 'the image "a:1" that the engine has is used: no registry';
  assert.is(await away.pull(wanted), `pulled ${warning}`);
  assert.is(await imageWith({ failure: 'Unavailable' }).pull(wanted), 'Unavailable');
  const other = imageWith({ present: { id: 'x', digests: [] }, failure: 'Unavailable' });
  assert.is(await other.pull({ ...wanted, imageDigest: digest }), 'Unavailable');
  for (const failure of ['NotFound', 'InvalidArgs', 'Cancelled'] as const) {
    assert.is(await imageWith({ present: had, failure }).pull(wanted), failure);
  }
});

test('has one of two pull policies, case-insensitively', () => {
  const policy = (value: unknown): string => {
    try {
      return parsePullPolicy(value);
    } catch (error) {
      return codeIn(error);
    }
  };
  assert.equal(['On-Create', 'on-create', 'NEVER'].map(policy), [
    'on-create',
    'on-create',
    'never',
  ]);
  for (const wrong of ['always', '', 'never ', 1, null, undefined, ['never']]) {
    assert.is(policy(wrong), 'InvalidArgs', JSON.stringify(wrong));
  }
});

test.run();
