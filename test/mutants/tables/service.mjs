export default [
  // src/ids.ts
  {
    breaks: 'an id may have empty, "." and ".." segments',
    text: "return text.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');",
    becomes: "return text.split('/').every((segment) => segment !== '' && segment !== '.');",
    suite: 'unit/ids',
  },
  {
    breaks: 'the file of a private key is taken for a reference to a key',
    text: String.raw`const isFile = text.startsWith('/') || (scheme === 'key' && /^\s*file:/i.test(text));`,
    becomes: "const isFile = text.startsWith('/');",
    suite: 'unit/ids',
  },
  // src/glob.ts
  {
    breaks: 'any glob covers the ids of the services themselves',
    text: 'if (id.startsWith(reservedPrefix) && !glob.startsWith(reservedPrefix)) return false;',
    becomes: 'if (id.startsWith(reservedPrefix) && glob === reservedPrefix) return false;',
    suite: 'unit/glob',
  },
  {
    breaks: 'a star at the end of a glob needs a character',
    text: "while (glob[from] === '*') from++;",
    becomes: '',
    suite: 'unit/glob',
  },
  // src/quoted.ts
  {
    breaks: 'a secret that was escaped twice is shown',
    text: 'const maxEscapes = 3;',
    becomes: 'const maxEscapes = 1;',
    suite: 'unit/quoted',
  },
  {
    breaks: 'a long message is not cut',
    text: 'const text = message.length > maxMessage ?',
    becomes: 'const text = message.length > 16 * maxMessage ?',
    suite: 'unit/quoted',
  },
  // src/service/cleanup.ts
  {
    breaks: 'resources are closed in the order in which they were opened',
    text: 'for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {',
    becomes:
      'for (let step = this.#steps.shift(); step !== undefined; step = this.#steps.shift()) {',
    suite: 'unit/service/cleanup',
  },
  // src/service/command-line.ts
  {
    breaks: 'the configuration comes before the command line for the state directory',
    text: 'return commandLine ?? configured ?? (fromSystemd || undefined)',
    becomes: 'return configured ?? commandLine ?? (fromSystemd || undefined)',
    suite: 'unit/service/command-line',
  },
  // src/service/common-config.ts
  {
    breaks: 'polkit verdicts can be configured to be reused for longer than 300 s',
    text: 'maximum: 300,',
    becomes: 'maximum: 3000,',
    suite: 'component/service/config/config',
  },
  {
    breaks: 'a rule without user and group is accepted, and is for everybody',
    text: "anyOf: [{ required: ['user'] }, { required: ['group'] }],",
    becomes: '',
    suite: 'component/service/config/config',
  },
  // src/service/config-files.ts
  {
    breaks: 'the first drop-in wins, not the last',
    text: 'return shown.sort().map((name) => join(dir, name));',
    becomes: 'return shown.sort().reverse().map((name) => join(dir, name));',
    suite: 'component/service/config/config',
  },
  {
    breaks: 'hidden files are read as drop-ins',
    text: "names.filter((name) => name.endsWith('.yaml') && !name.startsWith('.'))",
    becomes: "names.filter((name) => name.endsWith('.yaml'))",
    suite: 'component/service/config/config',
  },
  {
    breaks: 'a pipe in the place of a configuration file is waited for',
    text: 'constants.O_RDONLY | constants.O_NONBLOCK',
    becomes: 'constants.O_RDONLY',
    suite: 'component/service/config/config',
  },
  {
    breaks: 'the size of a configuration file is not limited',
    text: 'if (size > maxFileBytes)',
    becomes: 'if (size > 2 * maxFileBytes)',
    suite: 'component/service/config/config',
  },
  // src/service/config.ts
  {
    breaks: 'a map of a drop-in replaces the one before it',
    text: 'before ? { ...entry, node: mergeNodes(before.node, entry.node) } : entry',
    becomes: 'entry',
    suite: 'component/service/config/config',
  },
  {
    breaks: 'a configuration that everybody can write is used',
    text: 'if ((mode & 0o002) === 0) return [];',
    becomes: 'if ((mode & 0o007) !== 0o007) return [];',
    suite: 'component/service/config/config',
  },
  {
    breaks: 'problems that parse reports do not keep the configuration from being used',
    text: '    throwIfAny(found);\n    return parsed;',
    becomes: '    return parsed;',
    suite: 'component/service/config/config',
  },
  // src/service/shutdown.ts
  {
    breaks: 'a service exits idle while a call is in flight',
    text: 'isBusy: () => server.pendingCalls > 0 || running.isBusy?.() === true || isBusy(),',
    becomes: 'isBusy: () => running.isBusy?.() === true || isBusy(),',
    suite: 'unit/service/shutdown',
  },
  {
    breaks: 'a service exits idle while an operation is unfinished',
    text: 'server.pendingCalls > 0 || running.isBusy?.() === true || isBusy()',
    becomes: 'server.pendingCalls > 0 || isBusy()',
    suite: 'unit/service/shutdown',
  },
  {
    breaks: 'a service exits idle although something is due soon',
    text: 'due: () => running.due?.(),',
    becomes: 'due: () => undefined,',
    suite: 'unit/service/shutdown',
  },
  {
    breaks: 'calls in flight are abandoned when a service exits idle',
    text: 'if (await waitForEnd(isBusy, pendingCallsMs[stop.aborted ?',
    becomes: 'if (await waitForEnd(() => false, pendingCallsMs[stop.aborted ?',
    suite: 'unit/service/shutdown',
  },
  {
    breaks: 'a call that does not end keeps a service from stopping in order',
    text: '  server.abandonCalls();\n  await waitForEnd(isCalled',
    becomes: '  await waitForEnd(isCalled',
    suite: 'unit/service/shutdown',
  },
  // src/service/idle.ts
  {
    breaks: 'activity does not postpone the idle exit',
    text: 'const left = Math.max(this.#busyUntil, lastActivityAt()) + idleMs - performance.now();',
    becomes: 'const left = 0;',
    suite: 'unit/service/idle',
  },
  {
    breaks: 'only what is due within a second keeps a service',
    text: 'const soonMs = 600_000;',
    becomes: 'const soonMs = 1_000;',
    suite: 'unit/service/idle',
  },
  // src/service/journal.ts
  {
    breaks: 'a record that the journal does not take is lost',
    text: 'if (!send(toJournalFields(record, identifier))) consoleSink(record);',
    becomes: 'send(toJournalFields(record, identifier));',
    suite: 'component/service/log/log',
  },
  // src/service/lifetime.ts
  {
    breaks: 'a reload that changes the state directory is accepted',
    text: 'homedir_path: config.homedir_path ?? config.homedir,',
    becomes: '',
    suite: 'integration/service/reload',
  },
  {
    breaks: 'a reload does not change the log level',
    text: 'log.level = priorityOf(config.log_level);',
    becomes: '',
    suite: 'integration/service/reload',
  },
  {
    breaks: 'the service manager is not told that the service stops',
    text: "  notify('STOPPING=1');",
    becomes: '',
    suite: 'integration/service/run',
  },
  {
    breaks: 'an ordered stop keeps the level of LogControl1',
    text: 'if (stop.aborted) await logSettings.discard();',
    becomes: '',
    suite: 'integration/service/log-settings',
  },
  // src/service/log-record.ts
  {
    breaks: 'a field of a record shows a secret',
    text: 'const text = items.map((item) => withoutSecrets(item)).join',
    becomes: 'const text = items.join',
    suite: 'component/service/log/log',
  },
  {
    breaks: 'a record has no IOTEDGE_EVENT to be found by',
    text: "['IOTEDGE_EVENT', withoutSecrets(record.message)],",
    becomes: '',
    suite: 'component/service/log/log',
  },
  // src/service/log-settings.ts
  {
    breaks: 'the log level of another boot holds on',
    text: 'if (saved.bus !== (await this.#busId())) return;',
    becomes: '',
    suite: 'integration/service/log-settings',
  },
  // src/service/log.ts
  {
    breaks: 'a log writes records of its own level no longer',
    text: 'if (priorities.indexOf(priority) > this.#threshold) return;',
    becomes: 'if (priorities.indexOf(priority) >= this.#threshold) return;',
    suite: 'component/service/log/log',
  },
  {
    breaks: 'records that are dropped are not counted',
    text: 'else this.#dropped++;',
    becomes: '',
    suite: 'component/service/log/log',
  },
  // src/service/problem.ts
  {
    breaks: 'a configuration error shows a secret',
    text: 'message: withoutSecrets(problem.message),',
    becomes: 'message: problem.message,',
    suite: 'unit/service/config/config-problem',
  },
  // src/service/reload-queue.ts
  {
    breaks: 'a reload that was refused leaves LastError as it was',
    text: 'setProblem(`configuration not reloaded: ${why}`.slice(0, maxProblemLength));',
    becomes: '',
    suite: 'unit/service/reload-queue',
  },
  {
    breaks: 'a reload begins before the one before it has ended',
    text: 'void this.#mutex.run(async () => {',
    becomes: 'void new Mutex().run(async () => {',
    suite: 'unit/service/reload-queue',
  },
  {
    breaks: 'a configuration is applied in a service that stops',
    text: 'if (stop.aborted) return;\n      await apply(loaded);',
    becomes: 'await apply(loaded);',
    suite: 'unit/service/reload-queue',
  },
  {
    breaks: 'the service manager waits for a reload that was refused',
    text: "    }\n    notify('READY=1');",
    becomes: "      return;\n    }\n    notify('READY=1');",
    suite: 'unit/service/reload-queue',
  },
  // src/service/run.ts
  {
    breaks: 'a wrong configuration ends the process with 1, and systemd restarts it',
    text: 'usage: 2, configuration: 78 }',
    becomes: 'usage: 2, configuration: 1 }',
    suite: 'integration/service/run',
  },
  {
    breaks: 'a SIGHUP before the service is ready is lost',
    text: 'for (; early > 0; early--) listener();',
    becomes: '',
    suite: 'integration/service/run',
  },
  {
    breaks: 'a second signal does not end a service that does not stop',
    text: 'if (stop.signal.aborted) process.exit(exitCode.failed);',
    becomes: 'if (stop.signal.aborted) return;',
    suite: 'integration/service/run',
  },
  // src/service/digest-file.ts
  {
    breaks: 'digests that another version of the program saved are used',
    text: "|| fields.get('program') !== version) return null;",
    becomes: ') return null;',
    suite: 'integration/service/digest-file',
  },
  {
    breaks: 'the digest file stays when something else is announced',
    text: '    if (!this.#exists) return;\n    this.#exists = false;',
    becomes: '    if (this.#exists) return;\n    this.#exists = false;',
    suite: 'integration/service/digest-file',
  },
  // src/service/state/record-directory.ts
  {
    breaks: 'a record is not read again after an administrator put it right',
    text: 'if (this.#entries.get(id)?.damage instanceof UnusableFile) await this.#read(id);',
    becomes: '',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'a damaged record is read again, as if nothing had been wrong',
    text: 'if (this.#entries.get(id)?.damage instanceof UnusableFile) await this.#read(id);',
    becomes: 'if (this.#entries.get(id)?.damage !== undefined) await this.#read(id);',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'a directory that was made usable is not read again',
    text: 'if (this.failure !== undefined) await this.#readAll();',
    becomes: '',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'no record is damaged in a directory that cannot be used',
    text: 'return entry === undefined ? this.failure : entry.damage;',
    becomes: 'return entry?.damage;',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'a record counts before it is on the disk',
    text: '    if (reserve !== undefined) await reserve.write(',
    becomes:
      '    this.#entries.set(id, { value });\n    if (reserve !== undefined) await reserve.write(',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'a record that is deleted counts until the next start',
    text: 'change);\n    this.#entries.delete(id);',
    becomes: 'change);',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'a key that is replaced is not overwritten',
    text: 'await replaceStateFile(path, content);',
    becomes: 'await writeStateFile(path, content);',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'a key that is deleted is not overwritten',
    text: 'if (this.#form.isSecret === true) await destroyStateFile(this.#fileOf(id));',
    becomes: 'if (this.#form.isSecret === true) await deleteStateFile(this.#fileOf(id));',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'the content of a file that was read stays in memory',
    text: '    } finally {\n      content?.fill(0);\n    }\n  }\n\n  #idOf',
    becomes: '    }\n  }\n\n  #idOf',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'a record that frees space is not written into reserved space',
    text: 'if (reserve !== undefined) await reserve.write(this.#fileOf(id), content);\n    else await',
    becomes: 'await',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'a content that is no record of the id is written all the same',
    text: 'const value = this.#form.parse(content, { path, id });\n    await replaceStateFile(path, content);',
    becomes:
      'await replaceStateFile(path, content);\n    const value = this.#form.parse(content, { path, id });',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'records stay in memory when their directory is closed',
    text: '    this.#entries.clear();\n  }\n\n  async #readAll',
    becomes: '  }\n\n  async #readAll',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'one file that is no record of the directory keeps the service from starting',
    text: 'return undefined; // the file of something else',
    becomes: 'throw new Error(name);',
    suite: 'component/service/state/record-directory',
  },
  // src/service/state/state-disk.ts
  {
    breaks: 'a file of another user counts as reserved space',
    text: 'file.isFile() && file.uid === process.geteuid?.() ? file.size : undefined',
    becomes: 'file.isFile() ? file.size : undefined',
    suite: 'integration/service/state-file',
  },
  // src/service/state/state-file.ts
  {
    breaks: 'a state file is renamed before it is flushed',
    text: '  await file.writeFile(content);\n  await file.sync();',
    becomes: '  await file.writeFile(content);',
    suite: 'component/service/state/durable-writes',
  },
  {
    breaks: 'the directory is not flushed after a rename',
    text: '    await rename(temporary, path);\n    await flushDirectory(dirname(path));',
    becomes: '    await rename(temporary, path);',
    suite: 'component/service/state/durable-writes',
  },
  {
    breaks: 'the directory is not flushed after a removal',
    text: 'if (gone) await flushDirectory(dirname(path));',
    becomes: '',
    suite: 'component/service/state/durable-writes',
  },
  {
    breaks: 'a key that is replaced stays on the disk',
    text: 'if (before !== undefined) await overwrite(before).catch(() => undefined);',
    becomes: '',
    suite: 'component/service/state/durable-writes',
  },
  {
    breaks: 'what an interrupted write left is removed, not overwritten',
    text: 'await destroy(path).catch(() => remove(path).catch(() => undefined));',
    becomes: 'await remove(path).catch(() => undefined);',
    suite: 'component/service/state/durable-writes',
  },
  {
    breaks: 'state files can be read by others',
    text: "await using file = await open(path, 'wx', 0o600);\n  await file.writeFile(content);",
    becomes: "await using file = await open(path, 'wx', 0o644);\n  await file.writeFile(content);",
    suite: 'component/service/state/state-file',
  },
  {
    breaks: 'the state directory of another user is used',
    text: 'if (uid !== process.geteuid?.()) {',
    becomes: 'if (uid < 0) {',
    suite: 'component/service/state/state-file',
  },
  {
    breaks: 'a state directory that others can enter stays open to them',
    text: 'if ((mode & 0o077) !== 0) await chmod(path, 0o700);',
    becomes: '',
    suite: 'component/service/state/state-file',
  },
  {
    breaks: 'a state file is followed where it is a symbolic link',
    text: 'await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);',
    becomes: 'await using file = await open(path, constants.O_RDONLY);',
    suite: 'component/service/state/state-file',
  },
  {
    breaks: 'the file of a newer version is replaced',
    text: 'if (bytes !== undefined) checkVersion(path, versionIn(path, bytes));',
    becomes: '',
    suite: 'component/service/state/state-file',
  },
  {
    breaks: 'a record of any version is read, or of none',
    text: 'if (version === knownVersion) return;',
    becomes: 'return;',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'what this process writes at the moment is removed as a leftover',
    text: 'if (beingWritten.has(resolve(path))) continue;',
    becomes: '',
    suite: 'component/service/state/state-file',
  },
  {
    breaks: 'the error about a damaged file shows what is in it',
    text: "if (error instanceof SyntaxError) throw new DamagedFile(path, 'it is not JSON');",
    becomes: '',
    suite: 'component/service/state/state-file',
  },
  // src/service/turns.ts
  {
    breaks: 'a uid that has much to ask is always first',
    text: '      this.#uids.delete(uid);\n      this.#uids.set(uid, usage);',
    becomes: '',
    suite: 'unit/service/authorization/fair-limiter',
  },
  {
    breaks: 'questions to people take all places',
    text: 'usage.slow < this.#limits.slowPerUid && this.#slow < this.#limits.slowTotal',
    becomes: 'usage.slow < this.#limits.slowPerUid',
    suite: 'unit/service/authorization/fair-limiter',
  },
  // src/service/violation.ts
  {
    breaks: 'nothing says that a number is to be quoted where a text is wanted',
    text: "const hint = isBare && types.includes('string') ? ': write it in quotes' : '';",
    becomes: "const hint = '';",
    suite: 'unit/service/config/schema-errors',
  },
  {
    breaks: 'a violation is reported as often as branches of the schema have it',
    text: 'return !seen.has(key) && seen.add(key);',
    becomes: 'return true;',
    suite: 'unit/service/config/schema-errors',
  },
  // src/service/yaml.ts
  {
    breaks: 'of a key that stands twice the last wins without a word',
    text: 'if (entries.has(key.text)) {',
    becomes: 'if (entries.has(key.text) && key.text === "") {',
    suite: 'unit/service/config/yaml',
  },
  {
    breaks: 'what aliases repeat is not counted',
    text: 'this.#count(known.size, at);',
    becomes: '',
    suite: 'unit/service/config/yaml',
  },
  {
    breaks: 'a service exits idle although something is due in exactly 600 s',
    text: '<= soonMs',
    becomes: '< soonMs',
    suite: 'unit/service/idle',
  },
  {
    breaks: 'tasks of a mutex run side by side',
    text: '    if (!this.#isHeld) {\n      this.#isHeld = true;',
    becomes: '    if (!this.#isHeld) {',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'a mutex is not held while its last task runs',
    text: '    return this.#isHeld;',
    becomes: '    return this.#waiting.size > 0;',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'the task that came last is the next one',
    text: '    const [next] = this.#waiting;',
    becomes: '    const next = [...this.#waiting].at(-1);',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'a task that comes as another one ends overtakes those that wait',
    text: '    this.#waiting.delete(next);\n    next();',
    becomes: '    this.#waiting.delete(next);\n    this.#isHeld = false;\n    next();',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'a task that was given up while it waited runs',
    text: '        this.#waiting.delete(start);\n        reject(signal?.reason);',
    becomes: '        reject(signal?.reason);',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'a task that was given up as its turn came runs',
    text: '      signal?.throwIfAborted();\n      return await task();',
    becomes: '      return await task();',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'each task that waits leaves a listener at its signal',
    text: "        signal?.removeEventListener('abort', leave);\n",
    becomes: '',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'keys of a mutex that nobody uses stay',
    text: '      if (entry.tasks === 0) this.#entries.delete(key);',
    becomes: '',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'a key of a mutex goes while a task of it runs',
    text: '      if (entry.tasks === 0) this.#entries.delete(key);',
    becomes: '      this.#entries.delete(key);',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'those who failed together retry together',
    text: '    return minMs + share * (boundMs - minMs);',
    becomes: '    return boundMs;',
    suite: 'unit/service/backoff',
  },
  {
    breaks: 'a wait may be nothing',
    text: '    return minMs + share * (boundMs - minMs);',
    becomes: '    return share * boundMs;',
    suite: 'unit/service/backoff',
  },
  {
    breaks: 'waits grow without an end',
    text: 'Math.min(firstMs * 2 ** this.#failures, maxMs)',
    becomes: 'firstMs * 2 ** this.#failures',
    suite: 'unit/service/backoff',
  },
  {
    breaks: 'what was asked to be left alone is retried earlier',
    text: 'Math.round(retryAfterMs + extraMs)',
    becomes: 'Math.round(extraMs)',
    suite: 'unit/service/backoff',
  },
  {
    breaks: 'those who were asked for the same time return together',
    text: 'Math.max(this.#jitteredMs(share), share * retryAfterMs * retryAfterSpread)',
    becomes: 'this.#jitteredMs(share)',
    suite: 'unit/service/backoff',
  },
  {
    breaks: 'what worked for long waits as long as before',
    text: 'if (healthyMs !== undefined && lastedMs >= healthyMs)',
    becomes: 'if (healthyMs !== undefined && lastedMs > healthyMs)',
    suite: 'unit/service/backoff',
  },
  {
    breaks: 'a clock that is set back makes a wait longer',
    text: '    this.#retryAt = Math.min(this.#retryAt, now.getTime() + this.#delayMs);\n',
    becomes: '',
    suite: 'unit/service/backoff',
  },
];
