const suite = 'unit/modules/supervisor/update/pull-warnings';

export default [
  {
    breaks: 'the warning of the pull for an update is taken for one about the image that is in use',
    text: "const pulled = desired.update?.phase === 'fetch' ? desired.update.other : desired.source;",
    becomes: 'const pulled = desired.source;',
    suite,
  },
  {
    breaks: 'the warning of a pull stays when another image is in use',
    text: '      status.note({ goal, pullWarning: pullWarnings.of(desired.source) });\n',
    becomes: '      status.note({ goal });\n',
    suite,
  },
  {
    breaks: 'the warning of a pull does not say which image is used',
    text: 'warning = `the image ${quoted(image)} that the engine has is used: ${error.message}`;',
    becomes: 'warning = `${error.message}; the image that the engine has is used`;',
    suite: 'unit/modules/docker/module-image',
  },
  {
    breaks: 'the warning of a pull is no problem of the module',
    text: 'joined([problemOf(status), status.pullWarning, status.note, ',
    becomes: 'joined([problemOf(status), status.note, ',
    suite: 'unit/modules/supervisor/status',
  },
  {
    breaks: 'the warning of a pull ends with the process',
    text: '      pullWarnings.set(options.source, pullWarning);\n',
    becomes: '',
    suite: 'unit/modules/supervisor/update/pull-warnings',
  },
  {
    breaks: 'the warning of a pull is not persisted',
    text: '    restartReason,\n    pullWarning,\n  }),',
    becomes: '    restartReason,\n  }),',
    suite: 'component/modules/registry/module-histories',
  },
  {
    breaks: 'a warning about another image is restored',
    text: 'pullWarning?.image === settings.image',
    becomes: 'settings.image !== undefined && pullWarning !== undefined',
    suite: 'component/modules/registry/module-registry',
  },
];
