import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { keysService } from '../../../src/interfaces/keys.ts';
import { KeyCatalog } from '../../../src/keys/catalog.ts';
import { damaged, other, pair } from '../../support/keys/key-infos.ts';
import { ShownObjects } from '../../support/wire/shown-objects.ts';

const test = suite('KeyCatalog');

function watched() {
  const objects = new ShownObjects(keysService);
  return { catalog: new KeyCatalog(objects), objects };
}

const added = (id: string) => `InterfacesAdded /org/iotedge/Keys1/key/${id}`;
const removed = (id: string) => `InterfacesRemoved /org/iotedge/Keys1/key/${id}`;

test('removes keys that a listing no longer contains', () => {
  const { catalog, objects } = watched();
  catalog.replaceAll([pair, other], '');
  assert.equal(objects.announced(), [added('pair'), added('other')]);
  catalog.replaceAll([other], '');
  assert.equal([objects.ids(), objects.announced()], [['other'], [removed('pair')]]);
  catalog.put(pair);
  catalog.remove(other.id);
  assert.equal(objects.announced(), [added('pair'), removed('other')]);
  assert.equal(objects.ids(), ['pair']);
});

test('announces a new object when the kind or the store of an id changed, and keeps it otherwise', () => {
  const { catalog, objects } = watched();
  catalog.put(pair);
  objects.announced();
  catalog.put({ ...pair, algorithm: 'ec-p384', state: 'unavailable' });
  const isRemoved = () => objects.announced().includes(removed('pair'));
  assert.is(isRemoved(), false);
  catalog.put({ ...pair, kind: 'symmetric' });
  assert.is(isRemoved(), true);
  catalog.put({ ...pair, kind: 'symmetric', store: 'pkcs11' });
  assert.equal(objects.announced(), [removed('pair'), added('pair')]);
});

test('shows each problem until it is resolved', () => {
  const { catalog, objects } = watched();
  const state = () => [objects.properties.Health, objects.properties.LastError];
  const ok = ['ok', ''];
  assert.equal(state(), ok);
  catalog.put(damaged);
  assert.equal(state(), ['degraded', 'key "broken" is damaged: it is truncated']);
  catalog.remove(damaged.id);
  assert.equal(state(), ok);
  catalog.setDiskProblem('the disk is full');
  catalog.setFailure('the token is gone');
  assert.equal(state(), ['degraded', 'the disk is full; the token is gone']);
  catalog.replaceAll([damaged], 'the token is gone');
  const all = 'the disk is full; the token is gone; key "broken" is damaged: it is truncated';
  assert.equal(state(), ['degraded', all]);
  catalog.setDiskProblem('');
  catalog.replaceAll([pair], '');
  assert.equal(state(), ok);
  catalog.setFailure('');
  assert.equal(state(), ok);
});

test.run();
