import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ListedImage } from '../../../../../src/modules/docker/engine/images.ts';
import type { PulledImageRecord } from '../../../../../src/modules/docker/images/pulled-images.ts';
import {
  type ImageSituation,
  judgeImages,
} from '../../../../../src/modules/docker/images/removable.ts';

const test = suite('images to be removed');
const digest = `sha256:${'d'.repeat(64)}`;

function record(id: string, references: readonly string[] = [`r/${id}:1`], unusedDays = 8) {
  return { id, references, usedAt: new Date(-unusedDays) } as unknown as PulledImageRecord;
}

const image = (id: string, references = [`r/${id}:1`], digests: string[] = []): ListedImage => ({
  id,
  references,
  digests,
});

/** The verdicts, in their order, of images that were pulled. */
function verdicts(situation: Partial<ImageSituation>): string {
  const whole: ImageSituation = {
    images: [image('a')],
    used: new Set(),
    wanted: new Set(),
    pulled: [record('a')],
    unusedMs: ({ usedAt }) => -usedAt.getTime(),
    thresholdMs: 7,
    ...situation,
  };
  return judgeImages(whole)
    .map(({ record: { id }, kind }) => `${id} ${kind}`)
    .join();
}

test('are those that were pulled, are old and are needed by nothing', () => {
  assert.is(verdicts({}), 'a remove');
  assert.is(verdicts({ pulled: [] }), '');
  assert.is(verdicts({ pulled: [record('a', ['r/a:1'], 6)] }), 'a kept');
});

test('are not those of any container, also when the engine lists them no more', () => {
  const used = new Set(['a']);
  assert.is(verdicts({ used }), 'a used');
  assert.is(verdicts({ used, images: [] }), 'a used');
  assert.is(verdicts({ images: [] }), 'a gone');
});

test('are not those that a configuration demands, in any of its forms', () => {
  const images = [image('a', ['busybox:latest'], [`busybox@${digest}`])];
  const pulled = [record('a', ['busybox:latest'])];
  for (const wanted of [
    'busybox',
    'busybox:latest',
    'docker.io/library/busybox',
    'index.docker.io/library/busybox:latest',
    `busybox@${digest}`,
    digest,
    'a',
  ]) {
    assert.is(verdicts({ images, pulled, wanted: new Set([wanted]) }), 'a used', wanted);
  }
  for (const other of ['busybox:1', 'r/busybox', 'busybox2', digest.replace('d', 'e')]) {
    assert.is(verdicts({ images, pulled, wanted: new Set([other]) }), 'a remove', other);
  }
});

test('are not those that a configuration demands from the parent, whatever its host', () => {
  const of = (reference: string, wanted: string) =>
    verdicts({
      images: [image('a', [reference])],
      pulled: [record('a', [reference])],
      wanted: new Set([wanted]),
    });
  assert.is(of('parent.example/x:1', '$upstream/x:1'), 'a used');
  assert.is(of('parent.example:443/x:1', '$upstream/x:1'), 'a used');
  assert.is(of('parent:5000/x:latest', '$upstream:5000/x'), 'a used');
  assert.is(of('parent/x:1', '$upstream:443/x:1'), 'a used');
  assert.is(of('parent:5000/x:1', '$upstream/x:1'), 'a remove');
  assert.is(of('parent:5000/x:1', '$upstream:5000/x:2'), 'a remove');
  assert.is(of('x:1', '$upstream/x:1'), 'a remove');
});

test('are not those that another client has named too', () => {
  assert.is(verdicts({ images: [image('a', ['r/a:1', 'mine:1'])] }), 'a kept');
  assert.is(verdicts({ images: [image('a', [])] }), 'a remove');
});

test('begin with the one that nothing needed for longest', () => {
  const pulled = [record('a', ['r/a:1'], 8), record('b', ['r/b:1'], 10), record('c', [], 9)];
  const images = [image('a'), image('b'), image('c', [])];
  assert.is(verdicts({ images, pulled, used: new Set(['x']) }), 'b remove,c remove,a remove');
});

test.run();
