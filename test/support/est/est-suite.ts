import { suite, type Test } from 'uvu';
import { EstRig } from './est-rig.ts';

interface EstContext {
  rig?: EstRig;
}

/** A suite whose tests share one rig, which is reset after each of them. */
export function estSuite(name: string): Test<EstContext> {
  const test = suite<EstContext>(name);
  test.before(async (context) => {
    context.rig = await EstRig.start();
  });
  test.after(async ({ rig }) => {
    await rig?.[Symbol.asyncDispose]();
  });
  test.after.each(async ({ rig }) => {
    await rig?.reset();
  });
  return test;
}

/** The rig of the suite. */
export function rigOf({ rig }: EstContext): EstRig {
  if (rig === undefined) throw new Error('the rig was not set up');
  return rig;
}
