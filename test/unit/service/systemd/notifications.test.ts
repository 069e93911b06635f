import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemdNotifier } from '../../../../src/service/systemd/notifications.ts';
import { type LogLine, recordingLog } from '../../../support/log.ts';

const test = suite('notifications of systemd');

function notifier(socket: string | undefined) {
  const lines: LogLine[] = [];
  const sent: unknown[] = [];
  const state = { isAccepted: false };
  const log = recordingLog((line) => void lines.push(line));
  const send = (...message: readonly unknown[]): boolean => {
    sent.push(message);
    return state.isAccepted;
  };
  const environment = socket === undefined ? {} : { NOTIFY_SOCKET: socket };
  return { notify: systemdNotifier(environment, { log, send }), lines, sent, state };
}

test('are sent to its socket, with descriptors', () => {
  const { notify, lines, sent, state } = notifier('/run/systemd/notify');
  state.isAccepted = true;
  assert.is(notify('FDSTORE=1\nFDNAME=a', [7]), true);
  assert.equal(sent, [['/run/systemd/notify', 'FDSTORE=1\nFDNAME=a', [7]]]);
  assert.equal(lines, []);
});

test('are reported when they are lost, once for several of a kind until one is sent', () => {
  const { notify, lines, state } = notifier('/run/systemd/notify');
  const states = ['READY=1', 'FDSTORE=1\nFDNAME=a', 'FDSTORE=1\nFDNAME=b', 'WATCHDOG=1'];
  for (const text of states) assert.is(notify(text), false);
  state.isAccepted = true;
  assert.is(notify('FDSTORE=1\nFDNAME=c'), true);
  state.isAccepted = false;
  assert.is(notify('FDSTORE=1\nFDNAME=d'), false);
  assert.is(notify('WATCHDOG=1'), false);
  assert.equal(
    lines.map(({ level, fields }) => [level, fields['notification']]),
    [
      ['warn', 'READY=1'],
      ['warn', 'FDSTORE=1'],
      ['warn', 'WATCHDOG=1'],
      ['warn', 'FDSTORE=1'],
    ],
  );
  assert.match(String(lines[1]?.fields['consequence']), 'do not survive a restart');
});

test('are neither sent nor reported without systemd', () => {
  const { notify, lines, sent } = notifier(undefined);
  assert.is(notify('READY=1'), false);
  assert.equal([lines, sent], [[], []]);
});

test.run();
