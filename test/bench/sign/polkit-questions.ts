import { Bus } from '../../../src/dbus/bus.ts';

/** Counts the calls of CheckAuthorization on a bus while `work` runs, as a monitor of the bus. */
export async function polkitQuestions(address: string, work: () => Promise<void>): Promise<number> {
  await using monitor = await Bus.connect(address);
  let asked = 0;
  monitor.serveCalls({
    maxBodyBytes: () => 0,
    receive: ({ header }) => {
      if (header.member === 'CheckAuthorization') asked++;
    },
  });
  await monitor.call({
    destination: 'org.freedesktop.DBus',
    path: '/org/freedesktop/DBus',
    interface: 'org.freedesktop.DBus.Monitoring',
    member: 'BecomeMonitor',
    signature: 'asu',
    body: [["type='method_call',member='CheckAuthorization'"], 0],
  });
  await work();
  return asked;
}
