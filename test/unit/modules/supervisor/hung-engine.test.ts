/** What an engine leaves behind that did not respond for a while. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { EngineUnreachable } from '../../../../src/modules/supervisor/module-type.ts';
import { OperationSlot } from '../../../../src/modules/supervisor/pending-operation.ts';
import { StatusTracker } from '../../../../src/modules/supervisor/status.ts';
import { deadline } from '../../../support/deadline.ts';
import { longMs, moduleWith, running } from '../../../support/engine/supervised-module.ts';

const test = suite('modules after their engine did not respond');
const hung = new EngineUnreachable('Unavailable', 'no response in 60 s');

for (const [verb, goal, call, setting, state] of [
  ['Start', 'start', 'start', { goal: 'stopped', state: { kind: 'created' } }, 'created'],
  ['Restart', 'restart', 'stop', { goal: 'started', state: running }, 'running'],
] as const) {
  test(`have no problem with it any more once the ${verb} that failed for it is undone`, async () => {
    await using module = moduleWith({ ...setting, failures: { [call]: [hung] } });
    await module.rested();
    const outcome = await module.operate(verb, goal, undefined, { isUndone: true });
    assert.is(outcome, 'Unavailable');
    await module.supervisor.desired.settle(setting.goal);
    await deadline(longMs, module.supervisor.undo(), 'the rollback');
    module.supervisor.release();
    const { status } = module.supervisor;
    assert.equal([status.failed, status.state, status.error], [false, state, '']);
  });
}

test('keep the reason why they were not updated', () => {
  const status = new StatusTracker(
    { goal: 'started', error: '' },
    () => new Date(0),
    () => {},
  );
  const operations = new OperationSlot(status);
  const operation = operations.begin({
    until: 'proven',
    isCreation: false,
    requestId: 'r',
    isPatient: () => false,
    isUndone: () => true,
  });
  operations.fail(operation, hung);
  assert.is(status.current.failed, true);
});

test.run();
