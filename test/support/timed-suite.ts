import { type Callback, type Test, suite as untimed } from 'uvu';
import { deadline } from './deadline.ts';

const mostMs = 20_000;

/**
 * A suite of uvu whose tests fail at a deadline. Without it, a test that waits for an event that never occurs ends the
 * process early, and no test is counted.
 */
export function suite<T = Record<string, never>>(name: string): Test<T> {
  return new Proxy(untimed<T>(name), {
    apply(inner, _this, [what, act]: [string, Callback<T>]) {
      inner(what, (context) => {
        // the timer is set before the test may replace the clock
        const done = Promise.resolve().then(() => act(context));
        return deadline(mostMs, done, 'the test to end');
      });
    },
  });
}
