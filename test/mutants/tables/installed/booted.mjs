const activation = 'system/booted/activation';
const failure = 'system/booted/failure';
const secondBoot = 'system/booted/second-boot';
const watch = 'system/booted/watch';
const stop = 'system/booted/stop';

export default [
  {
    breaks: 'a command waits until dbus-daemon gives up on a service whose start has failed',
    text: "if (problem !== '') throw new ServiceError('Unavailable', problem);",
    becomes: '',
    suite: failure,
  },
  {
    breaks: 'a wrong configuration is no error in the journal',
    text: "? '<3>' : '';",
    becomes: "? '' : '';",
    suite: failure,
  },
  {
    breaks: 'a journal record has no identifier of its service',
    text: "['SYSLOG_IDENTIFIER', identifier],",
    becomes: '',
    suite: activation,
  },
  {
    breaks: 'activations after idle exits reach the start limit',
    text: `StartLimitBurst=200

[Service]
Type=dbus
BusName=org.iotedge.Keys1`,
    becomes: `StartLimitBurst=5

[Service]
Type=dbus
BusName=org.iotedge.Keys1`,
    suite: activation,
  },
  {
    breaks: 'an idle exit loses the calls that arrive during it',
    text: 'await drain(started, {',
    becomes: 'await bus.close(); await drain(started, {',
    suite: activation,
  },
  {
    breaks: 'a wrong configuration is tried again and again',
    text: `SyslogIdentifier=iotedge-keys
WatchdogSec=3min
Restart=on-failure
RestartSec=2s
RestartPreventExitStatus=2 78`,
    becomes: `SyslogIdentifier=iotedge-keys
WatchdogSec=3min
Restart=on-failure
RestartSec=2s`,
    suite: failure,
  },
  {
    breaks: 'a service that lost its bus ends as if it were idle',
    text: 'if (lost !== undefined) throw lost;',
    becomes: 'if (lost !== undefined) return exitCode.stopped;',
    suite: failure,
  },
  {
    breaks: 'the watchdog ends a service that is well',
    text: 'const everyMs = Number(microseconds) / 3000;',
    becomes: 'const everyMs = Number(microseconds) / 500;',
    suite: failure,
  },
  {
    breaks: 'a hung service stays as it is',
    text: `SyslogIdentifier=iotedge-keys
WatchdogSec=3min
Restart=on-failure`,
    becomes: `SyslogIdentifier=iotedge-keys
WatchdogSec=3min
Restart=no`,
    suite: failure,
  },
  {
    breaks: 'a reload stops the service',
    text: `iotedge-keys.cjs
ExecReload=/bin/sh -c 'kill -HUP $MAINPID'`,
    becomes: `iotedge-keys.cjs
ExecReload=/bin/sh -c 'kill -TERM $MAINPID'`,
    suite: stop,
  },
  {
    breaks: 'a stop is a kill',
    text: `KillMode=mixed
OOMPolicy=continue`,
    becomes: `KillMode=mixed
KillSignal=SIGKILL
OOMPolicy=continue`,
    suite: stop,
  },
  {
    breaks: 'a PIN in /etc/credstore does not reach the service',
    text: 'LoadCredential=iotedge-keys.pin',
    becomes: '',
    suite: secondBoot,
  },
  {
    breaks: 'the identity is forgotten at a boot',
    text: 'StateDirectory=iotedge/identity',
    becomes: 'RuntimeDirectory=iotedge/identity',
    suite: secondBoot,
  },
  {
    breaks: 'nothing starts the runtime at a boot',
    text: 'WantedBy=multi-user.target',
    becomes: 'WantedBy=rescue.target',
    suite: secondBoot,
  },
  {
    breaks: 'a watch ends with the boot',
    text: 'await systemd.enable(started);',
    becomes: '',
    suite: watch,
  },
  {
    breaks: 'a watch that has ended is started at the next boot',
    text: "await systemd.disable(units.filter((unit) => !unit.endsWith('.service')));",
    becomes: '',
    suite: watch,
  },
  {
    breaks: 'a watch that has ended still runs',
    text: "const result = await systemd.job('StopUnit', unit);\n      if (result !== 'done')\n        throw",
    becomes: "const result: string = 'done';\n      if (result !== 'done')\n        throw",
    suite: watch,
  },
  {
    breaks: 'a watch that is begun again takes the server for reloaded',
    text: 'rmSync(join(recordDirectory, watchName(id, reload)), { force: true });',
    becomes: '{}',
    suite: watch,
  },
  {
    breaks: 'a watch is begun for a server that there is not',
    text: "if ((await systemd.unit(unit)).get('LoadState') !== 'not-found') continue;",
    becomes: 'continue;',
    suite: 'system/booted/watch',
  },
];
