import * as assert from 'uvu/assert';
import { bootedSuite } from '../../support/boot/booted-suite.ts';
import { failedCalls } from '../../support/boot/load.ts';
import { untilFound } from '../../support/deadline.ts';
import { runs } from '../../support/property.ts';

const test = bootedSuite('activation');

for (const service of ['Keys', 'Certificates', 'Identity', 'Modules'] as const) {
  const user = `iotedge-${service.toLowerCase()}`;
  const unit = `${user}.service`;

  test(`starts ${service} for a call, as its user, with records in the journal`, async (system) => {
    assert.is((await system.unit(unit))['ActiveState'], 'inactive');
    await system.call(service, 'Describe');
    const { ActiveState: state, MainPID: pid } = await system.unit(unit);
    assert.is(state, 'active');
    const record = await untilFound(10_000, 'the record of the start', async () => {
      const [first] = await system.journal(`_SYSTEMD_UNIT=${unit}`, 'IOTEDGE_EVENT=started');
      return first;
    });
    assert.equal(
      ['PRIORITY', 'SYSLOG_IDENTIFIER', '_PID', '_UID'].map((field) => record[field]),
      ['6', user, pid, await system.output(['id', '-u', user])],
    );
    assert.match(String(record['MESSAGE']), /^started version=/);
    assert.match(String(record['MESSAGE']), String(record['IOTEDGE_VERSION']));
  });
}

test('loses no call at idle exits, which no start limit ends', async (system) => {
  await system.write('/etc/iotedge/keys.yaml', 'idle_exit_s: 0.02\n');
  await system.output(['systemctl', 'restart', 'iotedge-keys.service']);
  const failed = await failedCalls(system, { count: runs(200), pauses: [0.05] });
  assert.equal(failed, []);
  const started = ['_PID=1', 'UNIT=iotedge-keys.service', 'JOB_TYPE=start', 'JOB_RESULT=done'];
  const starts = (await system.journal(...started)).length;
  assert.ok(starts >= 8, `${starts} starts`); // fewer on a slow machine, where calls wait longer
  const { Result: result, NRestarts: restarts } = await system.unit('iotedge-keys.service');
  assert.equal([result, restarts], ['success', '0']);
});

test.run();
