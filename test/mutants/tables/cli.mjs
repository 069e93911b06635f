export default [
  // src/cli/certificates-list.ts
  {
    breaks: 'the list of certificates shows the wrong date',
    text: "formatTime(timeOf(certificate['NotAfter'])),",
    becomes: "formatTime(timeOf(certificate['NotBefore'])),",
    suite: 'integration/cli/verbs',
  },
  // src/cli/config-check.ts
  {
    breaks: 'config check exits with 0 for an invalid configuration',
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
    breaks: 'the files are not checked against each other',
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
    breaks: 'an id that a file creates later is an error',
    text: '!isFuture && ((kind',
    becomes: '((kind',
    suite: 'component/cli/cross-check',
  },
  // src/modules/config/config.ts
  {
    breaks: 'mismatched sockets are not reported',
    text: 'if (connect[api] === listen[api]) continue;',
    becomes: 'if (connect[api] !== undefined) continue;',
    suite: 'component/cli/cross-check',
  },
  // src/cli/description.ts
  {
    breaks: 'a command exits with 1 when the service is not installed',
    text: 'throw isUnknownService(error) ? notInstalled(service) : error;',
    becomes: 'throw new Error(String(error));',
    suite: 'integration/cli/verbs',
  },
  // src/cli/identity-show.ts
  {
    breaks: 'identity show prints the hub as the name of the device',
    text: "device: textOf(properties['DeviceId']),",
    becomes: "device: textOf(properties['HubHostname']),",
    suite: 'integration/cli/verbs',
  },
  // src/cli/iotedgectl.ts
  {
    breaks: 'a denied call exits with 1',
    text: "if (isServiceError(error, 'AccessDenied')) return exitCodes.notAuthorized;",
    becomes: '',
    suite: 'integration/cli/status',
  },
  {
    breaks: 'a call without a reply exits as if the service were not installed',
    text: 'return isLate(error.cause) ? exitCodes.timedOut : exitCodes.unavailable;',
    becomes: 'return exitCodes.unavailable;',
    suite: 'integration/cli/status',
  },
  {
    breaks: 'superfluous arguments are ignored',
    text: "if (parsed.options['help'] !== true && parsed.positionals.length !== wanted.length) {",
    becomes: "if (parsed.options['help'] !== true && parsed.positionals.length < wanted.length) {",
    suite: 'integration/cli/verbs',
  },
  {
    breaks: 'control characters in an error reach the terminal',
    text: 'err(`iotedgectl: ${printable(describeError(error))}`);',
    becomes: 'err(`iotedgectl: ${describeError(error)}`);',
    suite: 'component/cli/iotedgectl',
  },
  // src/cli/keys-list.ts
  {
    breaks: 'keys list exits with 0 when a token hides its keys',
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
    breaks: 'the exit code is 0 when the output cannot be written',
    text: '(failure !== undefined || isSilent) ? exitCodes.failed : code',
    becomes: 'isSilent ? exitCodes.failed : code',
    suite: 'integration/cli/status',
  },
  // src/cli/modules-list.ts
  {
    breaks: 'modules list hides the error of a module',
    text: "textOf(module['LastError']),",
    becomes: '',
    suite: 'integration/cli/verbs',
  },
  // src/cli/output.ts
  {
    breaks: 'control characters in JSON reach the terminal',
    text: "return json.replace(controls, (one) => (one === '\\n' ? one : escape(one)));",
    becomes: 'return json;',
    suite: 'component/cli/iotedgectl',
  },
  // src/cli/file-access.ts
  {
    breaks: 'a file that is readable only by its owner counts as readable by the group',
    text: 'bit << 3 : bit)) !== 0;',
    becomes: 'bit << 6 : bit)) !== 0;',
    suite: 'component/cli/file-access',
  },
  {
    breaks: 'the directories above a file are not checked',
    text: 'if (!(await may(user, directory, 0o1))) return directory;',
    becomes: '',
    suite: 'component/cli/file-access',
  },
  // src/cli/status.ts
  {
    breaks: 'status exits with 0 when a service is degraded',
    text: "if (found.some(({ health }) => health === 'degraded')) return exitCodes.degraded;",
    becomes: '',
    suite: 'integration/cli/verbs',
  },
  {
    breaks: 'status exits with 0 when a service is not installed',
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
    breaks: 'a unit in a restart loop counts as idle',
    text: "const isOver = active === 'failed' || sub === 'auto-restart';",
    becomes: "const isOver = active === 'failed';",
    suite: 'integration/cli/status',
  },
  // src/cli/line-writer.ts
  {
    breaks: 'a command fails when its output is closed',
    text: "return systemCode(this.#failure) === 'EPIPE' ? undefined : this.#failure;",
    becomes: 'return this.#failure;',
    suite: 'integration/cli/status',
  },
];
