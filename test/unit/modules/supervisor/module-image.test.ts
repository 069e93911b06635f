import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ErrorCode, ServiceError } from '../../../../src/errors.ts';
import {
  mayMove,
  parsePullPolicy,
} from '../../../../src/modules/docker/create-options/image-policy.ts';
import type { Image, PullOptions } from '../../../../src/modules/docker/engine.ts';
import { ModuleImage, type PulledImage } from '../../../../src/modules/supervisor/module-image.ts';
import { codeIn, failureOf } from '../../../support/failure.ts';

const test = suite('image of a module');
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
  const looks: string[] = [];
  const image = new ModuleImage({
    findImage: (reference) => {
      looks.push(reference);
      return Promise.resolve(pulls.length > 0 && failure === undefined ? pulled : present);
    },
    pull: (reference, options) => {
      pulls.push([reference, options]);
      if (failure === undefined) return Promise.resolve();
      return Promise.reject(new ServiceError(failure, 'no registry'));
    },
  });
  const fetch = (one: PulledImage): Promise<string> =>
    failureOf(image.fetch(one, () => {}, signal));
  return { image, fetch, pulls, looks };
}

test('is asked for at the registry while a module is created, once for each operation', async () => {
  const { image, fetch, looks } = imageWith({ present: had });
  assert.is(await image.find(wanted, true, signal), undefined);
  assert.equal(looks, [], 'the engine is not asked');
  assert.is(await fetch(wanted), 'no failure');
  assert.is(await image.find(wanted, true, signal), 'a:1');
  image.expire();
  assert.is(await image.find(wanted, true, signal), undefined);
  assert.is(await image.find(wanted, false, signal), 'a:1');
});

test('is the one that the engine has where the reference cannot move, or must not be asked for', async () => {
  const { image } = imageWith({ present: had });
  for (const more of [
    { imageDigest: digest },
    { image: `a@${digest}` },
    { imagePullPolicy: 'never' },
  ] as const) {
    assert.is(mayMove({ ...wanted, ...more }), false);
    assert.ok(await image.find({ ...wanted, ...more }, true, signal), JSON.stringify(more));
  }
  assert.is(mayMove(wanted), true);
  assert.is(mayMove({ ...wanted, imagePullPolicy: 'on-create' }), true);
});

test('is named by its id where a digest is demanded, and missing when it is another', async () => {
  const found = (present: Image | undefined, imageDigest?: string) =>
    imageWith({ present }).image.find({ ...wanted, imageDigest }, false, signal);
  assert.is(await found(had, digest), 'sha256:0');
  assert.is(await found({ id: digest, digests: [] }, digest), digest);
  assert.is(await found({ id: 'sha256:0', digests: ['sha256:other'] }, digest), undefined);
  assert.is(await found(had), 'a:1');
  assert.is(await found(undefined), undefined);
  assert.is(await found(undefined, digest), undefined);
});

test('is pulled with the credentials for it', async () => {
  const { fetch, pulls } = imageWith({ pulled: had });
  const auth = { username: 'u', password: 'p' };
  assert.is(await fetch({ ...wanted, auth }), 'no failure');
  assert.equal(
    pulls.map(([reference, options]) => [reference, options.auth]),
    [['a:1', auth]],
  );
});

test('is never pulled when the policy is never', async () => {
  const { fetch, pulls } = imageWith({});
  assert.is(await fetch({ ...wanted, imagePullPolicy: 'never' }), 'NotFound');
  assert.equal(pulls, []);
});

test('is refused when the registry has another one than the digest says', async () => {
  const other = { id: 'sha256:0', digests: [] };
  assert.is(
    await imageWith({ pulled: other }).fetch({ ...wanted, imageDigest: digest }),
    'InvalidArgs',
  );
  assert.is(
    await imageWith({ pulled: had }).fetch({ ...wanted, imageDigest: digest }),
    'no failure',
  );
  assert.is(await imageWith({ pulled: other }).fetch(wanted), 'no failure');
});

test('is the one that the engine has when the registry does not answer, and a note says so', async () => {
  const away = imageWith({ present: had, failure: 'Unavailable' });
  assert.is(await away.fetch(wanted), 'no failure');
  assert.match(away.image.note, /^no registry; the image that the engine has is used$/);
  assert.is(await away.image.find(wanted, true, signal), 'a:1');
  assert.is(await imageWith({ failure: 'Unavailable' }).fetch(wanted), 'Unavailable');
  const other = imageWith({ present: { id: 'x', digests: [] }, failure: 'Unavailable' });
  assert.is(await other.fetch({ ...wanted, imageDigest: digest }), 'Unavailable');
  for (const failure of ['NotFound', 'InvalidArgs', 'Cancelled'] as const) {
    assert.is(await imageWith({ present: had, failure }).fetch(wanted), failure);
  }
});

test('has no note any more when the registry answers again', async () => {
  let failures = 1;
  const image = new ModuleImage({
    findImage: () => Promise.resolve(had),
    pull: () =>
      failures-- > 0 ? Promise.reject(new ServiceError('Unavailable', 'no')) : Promise.resolve(),
  });
  await image.fetch(wanted, () => {}, signal);
  assert.is.not(image.note, '');
  await image.fetch(wanted, () => {}, signal);
  assert.is(image.note, '');
});

test('has one of two pull policies, in any letters', () => {
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
