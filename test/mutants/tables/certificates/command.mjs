const codes = 'component/certificates/issuers/command/exit-codes';
const bad = 'component/certificates/issuers/command/bad-helpers';
const issued = 'component/certificates/issuers/command/issued';
const settings = 'component/certificates/config/command-settings';
const executor = 'component/certificates/renewal/executor';
const service = 'integration/certificates/command';
const inherited = 'component/certificates/issuers/command/inherited';

export default [
  {
    breaks: 'a helper gets the descriptors that the service inherited',
    text: '    closeOnExec();\n    return spawn(',
    becomes: '    return spawn(',
    suite: inherited,
  },
  {
    breaks: 'a program that others than root may change is run',
    text: "if ((stats.mode & writeOfOthers) !== 0) return 'may be changed by others than root';",
    becomes: '',
    suite: bad,
  },
  {
    breaks: 'only other users, not a group, are kept from changing a program',
    text: 'const writeOfOthers = 0o022;\nconst execute',
    becomes: 'const writeOfOthers = 0o002;\nconst execute',
    suite: bad,
  },
  {
    breaks: 'a program of another user is run',
    text: 'if (stats.uid !== 0) return `belongs',
    becomes: 'if (stats.uid < 0) return `belongs',
    suite: bad,
  },
  {
    breaks: 'a link to a program is followed',
    text: "if (stats.isSymbolicLink()) return 'is a link';",
    becomes: '',
    suite: bad,
  },
  {
    breaks: 'the directories above a program are not checked',
    text: 'return above === path ? [path] : [...downTo(above), path];',
    becomes: 'return [path];',
    suite: bad,
  },
  {
    breaks: 'a helper has the environment of the service',
    text: 'env: environment,',
    becomes: 'env: { ...process.env, ...environment },',
    suite: codes,
  },
  {
    breaks: 'a helper runs in the directory of the service',
    text: "cwd: '/',\n      env: environment,",
    becomes: 'env: environment,',
    suite: codes,
  },
  {
    breaks: 'a helper inherits a descriptor',
    text: "detached: true,\n      stdio: ['ignore', 'pipe', 'pipe'],",
    becomes: "detached: true,\n      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],",
    suite: codes,
  },
  {
    breaks: 'the arguments of a helper are read by a shell',
    text: "cwd: '/',\n      env: environment,",
    becomes: "cwd: '/',\n      shell: true,\n      env: environment,",
    suite: codes,
  },
  {
    breaks: 'a helper that hangs is waited for',
    text: 'const limits = AbortSignal.any([signal, late, output.exceeded]);',
    becomes: 'const limits = AbortSignal.any([signal, output.exceeded]);',
    suite: bad,
  },
  {
    breaks: 'a cancelled order waits for its helper',
    text: 'const limits = AbortSignal.any([signal, late, output.exceeded]);',
    becomes: 'const limits = AbortSignal.any([late, output.exceeded]);',
    suite: bad,
  },
  {
    breaks: 'a helper has no time to end by itself',
    text: "signalGroup(child, 'SIGTERM');",
    becomes: "signalGroup(child, 'SIGKILL');",
    suite: bad,
  },
  {
    breaks: 'the children of a helper outlive it',
    text: 'process.kill(-pid, signal);',
    becomes: 'process.kill(pid, signal);',
    suite: bad,
  },
  {
    breaks: 'a process that keeps the output open delays the answer',
    text: 'await Promise.race([ended, delay(drainMs)]);',
    becomes: 'await ended;',
    suite: bad,
  },
  {
    breaks: 'the output of a helper has no limit',
    text: 'if (this.#size > maxOutput) {',
    becomes: 'if (this.#size < 0) {',
    suite: bad,
  },
  {
    breaks: 'a wait may be shorter than a minute',
    text: 'retryAfterS: Math.max(leastWaitS, delayS)',
    becomes: 'retryAfterS: delayS',
    suite: codes,
  },
  {
    breaks: 'a rejected renewal is not tried again',
    text: 'isFinal: order.renewed === undefined,',
    becomes: 'isFinal: true,',
    suite: codes,
  },
  {
    breaks: 'a cookie loses the whitespace at its end',
    text: "const cookie = output.toString('utf8');",
    becomes: "const cookie = output.toString('utf8').trimEnd();",
    suite: codes,
  },
  {
    breaks: 'a cookie that is no text is changed silently',
    text: "if (!Buffer.from(cookie).equals(output) || cookie.includes('\\0')) {",
    becomes: "if (cookie.includes('\\0')) {",
    suite: codes,
  },
  {
    breaks: 'a reason has control characters',
    text: ".replace(/\\p{C}/gu, '')\n      .trim();",
    becomes: '.trim();',
    suite: codes,
  },
  {
    breaks: 'a pending order is submitted, not polled',
    text: "cookie === undefined ? 'SUBMIT' : 'POLL'",
    becomes: "'SUBMIT'",
    suite: codes,
  },
  {
    breaks: 'a certificate that comes with strangers vouches for itself',
    text: 'if (cas.length === 0) return',
    becomes: 'if (cas.length >= 0) return',
    suite: issued,
  },
  {
    breaks: 'a certificate that comes alone may be signed with SHA-1',
    text: 'certificates.filter(hasAcceptedSignature)',
    becomes: 'certificates',
    suite: issued,
  },
  {
    breaks: "certmonger's JSON is not read",
    text: "/^\\s*\\{/.test(output.toString('latin1')) ?",
    becomes: 'output.length < 0 ?',
    suite: issued,
  },
  {
    breaks: 'a program may be named by a path with links upwards',
    text: 'normalize(text) === text &&',
    becomes: '',
    suite: settings,
  },
  {
    breaks: 'the cookie of a helper is lost with the process',
    text: "cookie: typeof cookie === 'string' ? cookie : undefined,",
    becomes: 'cookie: undefined,',
    suite: service,
  },
  {
    breaks: 'an issuer that always wants another key gets one each time',
    text: 'if (order.isRekeyed) {',
    becomes: 'if (reason === undefined) {',
    suite: executor,
  },
  {
    breaks: 'an order for another key is for the same one',
    text: 'const asked = { rule, isNewKey: true, isRequested, isRekeyed: true, keyAlgorithms };',
    becomes:
      'const asked = { rule, isNewKey: undefined, isRequested, isRekeyed: true, keyAlgorithms };',
    suite: executor,
  },
  {
    breaks: 'a script that fails with 1 is said to want to wait',
    text: 'if (output.length === 0) throw noCookie(said);',
    becomes: '',
    suite: codes,
  },
];
