import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../src/errors.ts';
import {
  globMatches,
  idGlobMatches,
  isId,
  isModuleName,
  moduleIdOf,
  moduleNameOf,
  parseKeyId,
  parseModuleId,
  parseModuleName,
  unrotated,
} from '../../src/ids.ts';

const test = suite('ids');

test('accepts names, paths and rotated names', () => {
  for (const id of [
    'device-id',
    '$edgeAgent',
    'a/b/c',
    'device-id@2',
    'iotedge/workload-ca',
    'x'.repeat(128),
  ]) {
    assert.is(isId(id), true, id);
  }
});

test('refuses what could be a path outside or an odd name', () => {
  const bad = [
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '../a',
    'a/../b',
    'a/.',
    '.',
    'a b',
    'a\n',
    'ä',
    'x'.repeat(129),
  ];
  for (const id of bad) assert.is(isId(id), false, JSON.stringify(id));
});

test('answers InvalidArgs for a name that is none', () => {
  try {
    parseKeyId('no/../good');
    assert.unreachable();
  } catch (error) {
    assert.instance(error, ServiceError);
    assert.is(error instanceof ServiceError && error.code, 'InvalidArgs');
  }
});

test('knows that module names have no slash and no at sign', () => {
  assert.is(isModuleName('edgeAgent'), true);
  assert.is(isModuleName('a/b'), false);
  assert.is(isModuleName('a@1'), false);
});

test('gives the two system modules their dollar', () => {
  assert.is(moduleIdOf(parseModuleName('edgeAgent')), '$edgeAgent');
  assert.is(moduleIdOf(parseModuleName('mine')), 'mine');
  assert.is(moduleNameOf(parseModuleId('$edgeHub')), 'edgeHub');
});

test('matches globs: star any run, question mark one', () => {
  assert.is(globMatches('*', 'a/b'), true);
  assert.is(globMatches('a*c', 'abbc'), true);
  assert.is(globMatches('a?c', 'ac'), false);
  assert.is(globMatches('a*b*c', 'axxbyyc'), true);
  assert.is(globMatches('a*b', 'acd'), false);
  assert.is(globMatches('', ''), true);
});

test('keeps a glob out of the services own ids unless it begins with them', () => {
  assert.is(idGlobMatches('*', 'iotedge/module-identities'), false);
  assert.is(idGlobMatches('iot*', 'iotedge/module-identities'), false);
  assert.is(idGlobMatches('?otedge/*', 'iotedge/module-identities'), false);
  assert.is(idGlobMatches('iotedge/*', 'iotedge/module-identities'), true);
  assert.is(idGlobMatches('*', 'IOTEDGE/module-identities'), true);
  assert.is(globMatches('*', 'iotedge/image'), true);
});

test('answers in linear time for a hostile glob', () => {
  assert.is(globMatches(`${'*a'.repeat(60)}b`, 'a'.repeat(4000)), false);
});

test('takes the rotation off a key id', () => {
  assert.is(unrotated('device-id@12'), 'device-id');
  assert.is(unrotated('device@id'), 'device@id');
});

test.run();
