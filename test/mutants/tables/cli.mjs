export default [
  // src/cli/certificates-list.ts
  {
    breaks: 'the list of certificates shows the wrong time',
    text: "formatTime(timeOf(certificate['NotAfter'])),",
    becomes: "formatTime(timeOf(certificate['NotBefore'])),",
    suite: 'integration/cli/verbs',
  },
  // src/cli/config-check.ts
  {
    breaks: 'a wrong configuration ends config check with 0',
    text: 'if (problems.length > 0) return exitCodes.configuration;',
    becomes: '',
    suite: 'component/cli/iotedgectl',
  },
  {
    breaks: 'config check accepts files that the service cannot read',
    text: 'const problems = await unreadable(service, placed.sources);',
    becomes: 'const problems: readonly Problem[] = [];',
    suite: 'integration/cli/status',
  },
  {
    breaks: 'the files are not compared with one another',
    text: '...each.flatMap(({ problems }) => problems), ...across.problems]',
    becomes: '...each.flatMap(({ problems }) => problems)]',
    suite: 'component/cli/cross-check',
  },
  // src/cli/cross-check.ts
  {
    breaks: 'a grant for another mechanism counts, a rule for another user too',
    text: 'if (user === undefined || user === name) return true;',
    becomes: "if (user === undefined || user !== '') return true;",
    suite: 'component/cli/cross-check',
  },
  {
    breaks: 'an id that a file will make later is an error',
    text: '!isFuture && ((kind',
    becomes: '((kind',
    suite: 'component/cli/cross-check',
  },
  // src/modules/config/config.ts
  {
    breaks: 'sockets that disagree are not reported',
    text: 'if (connect[api] === listen[api]) continue;',
    becomes: 'if (connect[api] !== undefined) continue;',
    suite: 'component/cli/cross-check',
  },
  // src/cli/description.ts
  {
    breaks: 'a service that is not installed ends a verb with 1',
    text: 'throw isUnknownService(error) ? notInstalled(service) : error;',
    becomes: 'throw new Error(String(error));',
    suite: 'integration/cli/verbs',
  },
  // src/cli/identity-show.ts
  {
    breaks: 'identity show calls the device by its hub',
    text: "device: textOf(properties['DeviceId']),",
    becomes: "device: textOf(properties['HubHostname']),",
    suite: 'integration/cli/verbs',
  },
  // src/cli/iotedgectl.ts
  {
    breaks: 'a call that was denied ends with 1',
    text: "if (isServiceError(error, 'AccessDenied')) return exitCodes.notAuthorized;",
    becomes: '',
    suite: 'integration/cli/status',
  },
  {
    breaks: 'a call without a reply ends as if the service were not there',
    text: 'return isLate(error.cause) ? exitCodes.timedOut : exitCodes.unavailable;',
    becomes: 'return exitCodes.unavailable;',
    suite: 'integration/cli/status',
  },
  {
    breaks: 'arguments that a verb does not take are ignored',
    text: "if (parsed.options['help'] !== true && parsed.positionals.length !== wanted.length) {",
    becomes: "if (parsed.options['help'] !== true && parsed.positionals.length < wanted.length) {",
    suite: 'integration/cli/verbs',
  },
  {
    breaks: 'an error prints what a terminal acts on',
    text: 'err(`iotedgectl: ${printable(describeError(error))}`);',
    becomes: 'err(`iotedgectl: ${describeError(error)}`);',
    suite: 'component/cli/iotedgectl',
  },
  // src/cli/keys-list.ts
  {
    breaks: 'keys list ends with 0 where a token hides its keys',
    text: "const code = health === 'degraded' ? exitCodes.degraded : exitCodes.ok;",
    becomes: 'const code: number = exitCodes.ok;',
    suite: 'integration/cli/verbs',
  },
  {
    breaks: 'keys list swaps store and origin',
    text: "      textOf(key['Store']),\n      textOf(key['Origin']),",
    becomes: "      textOf(key['Origin']),\n      textOf(key['Store']),",
    suite: 'integration/cli/verbs',
  },
  // src/cli/main.ts
  {
    breaks: 'output that cannot be written ends with 0',
    text: '(failure !== undefined || isSilent) ? exitCodes.failed : code',
    becomes: 'isSilent ? exitCodes.failed : code',
    suite: 'integration/cli/status',
  },
  // src/cli/modules-list.ts
  {
    breaks: 'modules list hides why a module fails',
    text: "textOf(module['LastError']),",
    becomes: '',
    suite: 'integration/cli/verbs',
  },
  // src/cli/output.ts
  {
    breaks: 'JSON holds what a terminal acts on',
    text: "return json.replace(controls, (one) => (one === '\\n' ? one : escape(one)));",
    becomes: 'return json;',
    suite: 'component/cli/iotedgectl',
  },
  // src/cli/file-access.ts
  {
    breaks: 'a file that only its owner can read counts as readable by the group',
    text: 'bit << 3 : bit)) !== 0;',
    becomes: 'bit << 6 : bit)) !== 0;',
    suite: 'component/cli/file-access',
  },
  {
    breaks: 'directories above a file are not looked at',
    text: 'if (!(await may(user, directory, 0o1))) return directory;',
    becomes: '',
    suite: 'component/cli/file-access',
  },
  // src/cli/status.ts
  {
    breaks: 'status ends with 0 when a service is degraded',
    text: "if (found.some(({ health }) => health === 'degraded')) return exitCodes.degraded;",
    becomes: '',
    suite: 'integration/cli/verbs',
  },
  {
    breaks: 'status ends with 0 when a service is not there',
    text: "if (found.some(({ state }) => state === 'absent' || state === 'failing'))",
    becomes: "if (found.some(({ state }) => state === 'failing'))",
    suite: 'integration/cli/verbs',
  },
  {
    breaks: 'status starts services that systemd knows to be idle',
    text: 'if (unit !== undefined && !start) return',
    becomes: 'if (unit !== undefined && start) return',
    suite: 'integration/cli/status',
  },
  // src/cli/unit-state.ts
  {
    breaks: 'a unit that systemd restarts again and again counts as idle',
    text: "const isOver = active === 'failed' || sub === 'auto-restart';",
    becomes: "const isOver = active === 'failed';",
    suite: 'integration/cli/status',
  },
  // src/cli/line-writer.ts
  {
    breaks: 'a reader that left makes a command fail',
    text: "return systemCode(this.#failure) === 'EPIPE' ? undefined : this.#failure;",
    becomes: 'return this.#failure;',
    suite: 'integration/cli/status',
  },
];
