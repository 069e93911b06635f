export default [
  {
    breaks: 'a record that the journal does not accept is lost',
    text: 'writers.some((writer) => writer(record));',
    becomes: 'writers.slice(0, 1).some((writer) => writer(record));',
    suite: 'component/service/log/log',
  },
  {
    breaks: 'a journal that does not read stops the event loop',
    text: '    if (!isOpen) openNonBlocking();\n',
    becomes: '',
    suite: 'component/service/log/stalled-reader',
  },
  {
    breaks: 'records that cannot be written are not counted',
    text: '    dropped++;\n    reportLater();\n',
    becomes: '    reportLater();\n',
    suite: 'component/service/log/stalled-reader',
  },
  {
    breaks: 'the number of lost records is reported only by the next record',
    text: '      if (!report()) reportLater();\n',
    becomes: '      report();\n',
    suite: 'unit/service/log/sink',
  },
  {
    breaks: 'the end of a line that was written in part is lost',
    text: 'rest = bytes.subarray(writeSync(2, bytes));',
    becomes: 'writeSync(2, bytes);',
    suite: 'component/service/log/stalled-reader',
  },
  {
    breaks: 'a notification that is lost leaves no trace',
    text: "      log.warn('notification of systemd lost', { notification: kind, consequence });\n",
    becomes: '',
    suite: 'integration/service/run',
  },
  {
    breaks: 'every notification that is lost is a record of its own',
    text: '    lost.add(kind);\n',
    becomes: '',
    suite: 'unit/service/systemd/notifications',
  },
  {
    breaks: 'a notification that is lost later is not reported',
    text: '      lost.delete(kind);\n',
    becomes: '',
    suite: 'unit/service/systemd/notifications',
  },
];
