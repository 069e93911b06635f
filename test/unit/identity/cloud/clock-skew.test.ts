import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ClockSkew } from '../../../../src/identity/cloud/clock-skew.ts';

const test = suite('ClockSkew');
const at = new Date('2026-01-02T03:04:05.678Z');
const after = (ms: number): Date => new Date(at.getTime() + ms);

test('measures a difference between clocks relative to the previous one', () => {
  const clocks = new ClockSkew();
  const observe = (ms: number) => {
    const isOther = clocks.observe(after(ms), at);
    return [clocks.seconds, isOther];
  };
  assert.equal(observe(4499), [0, false]);
  assert.equal(observe(4500), [5, true]);
  assert.equal(observe(9499), [5, false]);
  assert.equal(observe(400), [0, true]);
  assert.equal(observe(-4499), [0, false]);
  assert.equal(observe(-5000), [-5, true]);
});

test('ignores a difference between clocks above five minutes', () => {
  const clocks = new ClockSkew();
  const problem = (seconds: number): string => {
    clocks.observe(after(seconds * 1000), at);
    return clocks.problem;
  };
  assert.equal([300, -300].map(problem), ['', '']);
  const advice = 'set it, or tokens are refused';
  assert.is(problem(3600), `this clock is 3600 s behind the cloud's: ${advice}`);
  assert.is(problem(305), `this clock is 305 s behind the cloud's: ${advice}`);
  assert.is(problem(-305), `this clock is 305 s ahead of the cloud's: ${advice}`);
});

test.run();
