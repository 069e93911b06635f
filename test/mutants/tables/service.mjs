export default [
  // src/ids.ts
  {
    breaks: 'an id may have empty, "." and ".." segments',
    text: "return text.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');",
    becomes: "return text.split('/').every((segment) => segment !== '' && segment !== '.');",
    suite: 'unit/ids',
  },
  {
    breaks: 'the file of a private key is parsed as a reference to a key',
    text: String.raw`const isFile = text.startsWith('/') || (scheme === 'key' && /^\s*file:/i.test(text));`,
    becomes: "const isFile = text.startsWith('/');",
    suite: 'unit/ids',
  },
  // src/glob.ts
  {
    breaks: 'any glob covers the reserved ids of the services',
    text: 'if (id.startsWith(reservedPrefix) && !glob.startsWith(reservedPrefix)) return false;',
    becomes: 'if (id.startsWith(reservedPrefix) && glob === reservedPrefix) return false;',
    suite: 'unit/glob',
  },
  {
    breaks: 'a trailing star of a glob requires a character',
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
    breaks: 'a long message is not truncated',
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
    breaks: 'the configuration overrides the command line for the state directory',
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
    breaks: 'a rule without user and group is accepted, and applies to every user',
    text: "anyOf: [{ required: ['user'] }, { required: ['group'] }],",
    becomes: '',
    suite: 'component/service/config/config',
  },
  // src/service/config-files.ts
  {
    breaks: 'the first drop-in wins instead of the last',
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
    breaks: 'a named pipe as a configuration file blocks the service',
    text: 'constants.O_RDONLY | constants.O_NONBLOCK',
    becomes: 'constants.O_RDONLY',
    suite: 'component/service/config/config',
  },
  {
    breaks: 'the size of a configuration file is unlimited',
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
    breaks: 'a world-writable configuration is used',
    text: 'if ((mode & 0o002) === 0) return [];',
    becomes: 'if ((mode & 0o007) !== 0o007) return [];',
    suite: 'component/service/config/config',
  },
  {
    breaks: 'a configuration with problems from parse is used',
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
    breaks: 'a service exits idle although work is due soon',
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
    breaks: 'a call that does not end prevents an orderly stop',
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
    breaks: 'only work due within a second prevents the idle exit',
    text: 'const soonMs = 600_000;',
    becomes: 'const soonMs = 1_000;',
    suite: 'unit/service/idle',
  },
  // src/service/journal.ts
  {
    breaks: 'a record that the journal does not accept is lost',
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
    breaks: 'the service manager is not notified that the service is stopping',
    text: "  notify('STOPPING=1');",
    becomes: '',
    suite: 'integration/service/run',
  },
  {
    breaks: 'a requested stop keeps the level of LogControl1',
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
    breaks: 'a record lacks IOTEDGE_EVENT',
    text: "['IOTEDGE_EVENT', withoutSecrets(record.message)],",
    becomes: '',
    suite: 'component/service/log/log',
  },
  // src/service/log-settings.ts
  {
    breaks: 'the log level of a previous boot stays in effect',
    text: 'if (saved.bus !== (await this.#busId())) return;',
    becomes: '',
    suite: 'integration/service/log-settings',
  },
  // src/service/log.ts
  {
    breaks: 'a log drops records of exactly its level',
    text: 'if (priorities.indexOf(priority) > this.#threshold) return;',
    becomes: 'if (priorities.indexOf(priority) >= this.#threshold) return;',
    suite: 'component/service/log/log',
  },
  {
    breaks: 'dropped records are not counted',
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
    breaks: 'a refused reload does not set LastError',
    text: 'setProblem(`configuration not reloaded: ${why}`.slice(0, maxProblemLength));',
    becomes: '',
    suite: 'unit/service/reload-queue',
  },
  {
    breaks: 'a reload begins before the previous one has ended',
    text: 'void this.#mutex.run(async () => {',
    becomes: 'void new Mutex().run(async () => {',
    suite: 'unit/service/reload-queue',
  },
  {
    breaks: 'a configuration is applied while the service is stopping',
    text: 'if (stop.aborted) return;\n      await apply(loaded);',
    becomes: 'await apply(loaded);',
    suite: 'unit/service/reload-queue',
  },
  {
    breaks: 'the service manager keeps waiting after a refused reload',
    text: "    }\n    notify('READY=1');",
    becomes: "      return;\n    }\n    notify('READY=1');",
    suite: 'unit/service/reload-queue',
  },
  // src/service/run.ts
  {
    breaks: 'an invalid configuration exits with 1, and systemd restarts the service',
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
    breaks: 'a second signal does not end a service whose stop hangs',
    text: 'if (stop.signal.aborted) process.exit(exitCode.failed);',
    becomes: 'if (stop.signal.aborted) return;',
    suite: 'integration/service/run',
  },
  // src/service/digest-file.ts
  {
    breaks: 'digests saved by another version of the program are used',
    text: "|| fields.get('program') !== version) return null;",
    becomes: ') return null;',
    suite: 'integration/service/digest-file',
  },
  {
    breaks: 'the digest file stays after a different announcement',
    text: '    if (!this.#exists) return;\n    this.#exists = false;',
    becomes: '    if (this.#exists) return;\n    this.#exists = false;',
    suite: 'integration/service/digest-file',
  },
  // src/service/state/record-directory.ts
  {
    breaks: 'a repaired record is not reloaded',
    text: 'if (this.#entries.get(id)?.damage instanceof UnusableFile) await this.#read(id);',
    becomes: '',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'a damaged record is accepted when it is reloaded',
    text: 'if (this.#entries.get(id)?.damage instanceof UnusableFile) await this.#read(id);',
    becomes: 'if (this.#entries.get(id)?.damage !== undefined) await this.#read(id);',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'a repaired directory is not reloaded',
    text: 'if (this.failure !== undefined) await this.#readAll();',
    becomes: '',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'an unusable directory reports no damaged records',
    text: 'return entry === undefined ? this.failure : entry.damage;',
    becomes: 'return entry?.damage;',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'a record is visible before it is on disk',
    text: '    if (reserve !== undefined) await reserve.write(',
    becomes:
      '    this.#entries.set(id, { value });\n    if (reserve !== undefined) await reserve.write(',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'a deleted record stays visible until the next start',
    text: 'change);\n    this.#entries.delete(id);',
    becomes: 'change);',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'the file of a replaced key is not overwritten',
    text: 'await replaceStateFile(path, content);',
    becomes: 'await writeStateFile(path, content);',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'the file of a deleted key is not overwritten',
    text: 'if (this.#form.isSecret === true) await destroyStateFile(this.#fileOf(id));',
    becomes: 'if (this.#form.isSecret === true) await deleteStateFile(this.#fileOf(id));',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'the content of a read file stays in memory',
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
    breaks: 'content that is not a record of the id is written',
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
    breaks: 'one file that is not a record prevents the start of the service',
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
    breaks: 'a replaced key stays on disk',
    text: 'if (before !== undefined) await overwrite(before).catch(() => undefined);',
    becomes: '',
    suite: 'component/service/state/durable-writes',
  },
  {
    breaks: 'the leftover of an interrupted write is removed without being overwritten',
    text: 'await destroy(path).catch(() => remove(path).catch(() => undefined));',
    becomes: 'await remove(path).catch(() => undefined);',
    suite: 'component/service/state/durable-writes',
  },
  {
    breaks: 'state files are readable by other users',
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
    breaks: 'a state directory that is accessible to other users stays so',
    text: 'if ((mode & 0o077) !== 0) await chmod(path, 0o700);',
    becomes: '',
    suite: 'component/service/state/state-file',
  },
  {
    breaks: 'a state file that is a symbolic link is followed',
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
    breaks: 'a record with any version, or without one, is read',
    text: 'if (version === knownVersion) return;',
    becomes: 'return;',
    suite: 'component/service/state/record-directory',
  },
  {
    breaks: 'a file that this process is writing is removed as a leftover',
    text: 'if (beingWritten.has(resolve(path))) continue;',
    becomes: '',
    suite: 'component/service/state/state-file',
  },
  {
    breaks: 'the error about a damaged file quotes its content',
    text: "if (error instanceof SyntaxError) throw new DamagedFile(path, 'it is not JSON');",
    becomes: '',
    suite: 'component/service/state/state-file',
  },
  // src/service/turns.ts
  {
    breaks: 'a uid with many requests is always served first',
    text: '      this.#uids.delete(uid);\n      this.#uids.set(uid, usage);',
    becomes: '',
    suite: 'unit/service/authorization/fair-limiter',
  },
  {
    breaks: 'questions to people take all slots',
    text: 'usage.slow < this.#limits.slowPerUid && this.#slow < this.#limits.slowTotal',
    becomes: 'usage.slow < this.#limits.slowPerUid',
    suite: 'unit/service/authorization/fair-limiter',
  },
  // src/service/violation.ts
  {
    breaks: 'no message suggests quotes for a number where a text is expected',
    text: "const hint = isBare && types.includes('string') ? ': write it in quotes' : '';",
    becomes: "const hint = '';",
    suite: 'unit/service/config/schema-errors',
  },
  {
    breaks: 'a violation is reported once per branch of the schema',
    text: 'return !seen.has(key) && seen.add(key);',
    becomes: 'return true;',
    suite: 'unit/service/config/schema-errors',
  },
  // src/service/yaml.ts
  {
    breaks: 'of a duplicate key the last one silently wins',
    text: 'if (entries.has(key.text)) {',
    becomes: 'if (entries.has(key.text) && key.text === "") {',
    suite: 'unit/service/config/yaml',
  },
  {
    breaks: 'the expansion of aliases is not limited',
    text: 'this.#count(known.size, at);',
    becomes: '',
    suite: 'unit/service/config/yaml',
  },
  {
    breaks: 'a service exits idle although work is due in exactly 600 s',
    text: '<= soonMs',
    becomes: '< soonMs',
    suite: 'unit/service/idle',
  },
  {
    breaks: 'tasks of a mutex run concurrently',
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
    breaks: 'the task that was queued last runs next',
    text: '    const [next] = this.#waiting;',
    becomes: '    const next = [...this.#waiting].at(-1);',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'a task that arrives when another one ends overtakes the queue',
    text: '    this.#waiting.delete(next);\n    next();',
    becomes: '    this.#waiting.delete(next);\n    this.#isHeld = false;\n    next();',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'a task that was aborted in the queue runs',
    text: '        this.#waiting.delete(start);\n        reject(signal?.reason);',
    becomes: '        reject(signal?.reason);',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'a task that was aborted when its turn came runs',
    text: '      signal?.throwIfAborted();\n      return await task();',
    becomes: '      return await task();',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'each queued task leaks a listener on its signal',
    text: "        signal?.removeEventListener('abort', leave);\n",
    becomes: '',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'unused keys of a mutex are never removed',
    text: '      if (entry.tasks === 0) this.#entries.delete(key);',
    becomes: '',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'a key of a mutex is removed while its task runs',
    text: '      if (entry.tasks === 0) this.#entries.delete(key);',
    becomes: '      this.#entries.delete(key);',
    suite: 'unit/service/mutex',
  },
  {
    breaks: 'clients that failed together retry together',
    text: '    return minMs + share * (boundMs - minMs);',
    becomes: '    return boundMs;',
    suite: 'unit/service/backoff',
  },
  {
    breaks: 'a wait may be zero',
    text: '    return minMs + share * (boundMs - minMs);',
    becomes: '    return share * boundMs;',
    suite: 'unit/service/backoff',
  },
  {
    breaks: 'waits grow without a limit',
    text: 'Math.min(firstMs * 2 ** this.#failures, maxMs)',
    becomes: 'firstMs * 2 ** this.#failures',
    suite: 'unit/service/backoff',
  },
  {
    breaks: 'a retry comes earlier than Retry-After',
    text: 'Math.round(retryAfterMs + extraMs)',
    becomes: 'Math.round(extraMs)',
    suite: 'unit/service/backoff',
  },
  {
    breaks: 'clients with the same Retry-After retry together',
    text: 'Math.max(this.#jitteredMs(share), share * retryAfterMs * retryAfterSpread)',
    becomes: 'this.#jitteredMs(share)',
    suite: 'unit/service/backoff',
  },
  {
    breaks: 'the back-off is not reset after a long success',
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
