import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  changedNames,
  eventOf,
  secondsOf,
} from '../../../../../../src/modules/docker/engine/events/event.ts';

const test = suite('events of the engine');
const ownerOnly = { 'net.azure-devices.edge.owner': 'Microsoft.Azure.Devices.Edge.Agent' };
const owner = { ...ownerOnly, 'org.iotedge.module': 'sensor' };

function container(attributes: object, action = 'start'): object {
  return { Type: 'container', Action: action, Actor: { ID: 'c1', Attributes: attributes } };
}

test('name a container of ours, and both names of one that was renamed', () => {
  const named = (attributes: object) => eventOf(container({ ...owner, ...attributes }))?.names;
  assert.equal(named({ name: 'sensor' }), ['sensor']);
  assert.equal(named({ name: 'b', oldName: '/a' }), ['b', 'a']);
  for (const none of [{}, { name: 5 }]) assert.equal(named(none), []);
});

test('tell whether the container is ours, and are skipped when they are damaged', () => {
  const other = { 'net.azure-devices.edge.owner': 'me', name: 'sensor' };
  for (const event of [container({ name: 'sensor' }), container(other), container(ownerOnly)]) {
    assert.is(eventOf(event)?.isOurs, false);
  }
  assert.is(eventOf(container(owner))?.isOurs, true);
  for (const event of [{}, { Actor: null }]) assert.is(eventOf(event), undefined);
  assert.is(eventOf({ Type: 'network', Actor: { ID: 'n1', Attributes: {} } }), undefined);
});

test('of a network are about the container that joins or leaves it', () => {
  const actor = { ID: 'n1', Attributes: { container: 'c1', name: 'azure-iot-edge' } };
  const event = eventOf({ Type: 'network', Action: 'disconnect', Actor: actor });
  assert.equal(event, { id: 'c1', isOurs: true, names: [], isRemoval: false });
});

test('report the removal of a container, and their time', () => {
  const { isRemoval } = eventOf(container({ ...owner, name: 'a' }, 'destroy')) ?? {};
  assert.is(isRemoval, true);
  assert.equal([{ time: 5 }, { time: 1.5 }, { time: '5' }, {}].map(secondsOf), [
    5,
    undefined,
    undefined,
    undefined,
  ]);
});

test('report the end of a container with its exit code', () => {
  const died = (exitCode: unknown, action = 'die') => {
    const event = container({ ...owner, name: 'a', exitCode }, action);
    return eventOf({ ...event, timeNano: 1_500_000_999_999 })?.end;
  };
  assert.equal(died('137'), { exitCode: 137, at: new Date(1_500_000) });
  for (const text of ['', '-1', 'x', 5, '12345678901']) assert.is(died(text), undefined);
  assert.is(died('137', 'stop'), undefined);
});

test('report the signal that a container was sent', () => {
  const sent = (signal: unknown) => eventOf(container({ ...owner, name: 'a', signal }, 'kill'));
  assert.equal([sent('15')?.request, sent('15')?.signal], ['end', 15]);
  for (const text of ['', '0', '-9', '999', 15]) assert.is(sent(text)?.signal, undefined);
  assert.is(eventOf(container({ ...owner, name: 'a', signal: '9' }, 'die'))?.signal, undefined);
});

test('are replaced by the difference of two lists', () => {
  const before = new Map([
    ['1', { name: 'same', state: 'running' }],
    ['2', { name: 'ended', state: 'running' }],
    ['3', { name: 'gone', state: 'running' }],
    ['4', { name: 'old', state: 'exited' }],
  ]);
  const after = new Map([
    ['1', { name: 'same', state: 'running' }],
    ['2', { name: 'ended', state: 'exited' }],
    ['4', { name: 'new', state: 'exited' }],
    ['5', { name: 'made', state: 'created' }],
  ]);
  assert.equal(changedNames(before, after), ['ended', 'new', 'made', 'gone']);
});

test.run();
