const engine = 'integration/modules/engine/logs';
const sockets = 'component/modules/logs/log-sockets';
const http = 'component/modules/api/management/log-routes';
const model = 'unit/modules/docker/engine/logs/whole-log';

export default [
  {
    breaks: 'what the engine skips at the beginning of a file is missing',
    text: '...(await gapAtStart(positions, part, placeOf(0))), ...gaps]',
    becomes: '...gaps]',
    suite: model,
  },
  {
    breaks: 'gaps between lines of a log that is read to its end are not looked for',
    text: 'const gaps = await innerGaps(positions, part, place);',
    becomes: 'const gaps: readonly Gap[] = [];',
    suite: model,
  },
  {
    breaks: 'a log whose end the engine does not reach is taken for complete',
    text: '      return [{ index: entries.length, first: place - 1, last: 1 }];\n',
    becomes: '      return [];\n',
    suite: model,
  },
  {
    breaks: 'no line says what of a log cannot be read',
    text: '  yield [marker(before, found?.time ?? after)];\n',
    becomes: '',
    suite: model,
  },
  {
    breaks: 'damage in what was passed on long before is kept silent',
    text: 'if (isSame(await positions.at(first), window.oldest)) return false;',
    becomes: 'return false;',
    suite: engine,
  },
  {
    breaks: 'a log that grows while it is read is taken for damaged',
    text: 'if (gaps.length === 0 || (await positions.of(last.time)) === place) return',
    becomes: 'if (mostAttempts > 0) return',
    suite: model,
  },
  {
    breaks: 'who follows a log gets its last lines twice',
    text: '  if (at >= 0) return batch.slice(at + 1);\n',
    becomes: '  if (at >= 0) return batch;\n',
    suite: model,
  },
  {
    breaks: 'who follows a log with many lines in one moment misses some of them',
    text: 'if (!isKnown && oldest !== undefined && oldest.time > last.time) break;',
    becomes: '',
    suite: model,
  },
  {
    breaks: 'a terminal is taken for frames',
    text: '(isTerminal ? terminalEntries : framedEntries)(stream)',
    becomes: 'framedEntries(stream)',
    suite: engine,
  },
  {
    breaks: 'the parts of a long line of a terminal have times within it',
    text: 'return bytes.length < most ? 0 : most;',
    becomes: 'return 0;',
    suite: 'unit/modules/docker/engine/logs/log-entries',
  },
  {
    breaks: 'a character that an entry ends within is replaced',
    text: 'return this.#decoder.decode(text, { stream: true });',
    becomes: 'return this.#decoder.decode(text);',
    suite: 'unit/modules/logs/log-text',
  },
  {
    breaks: 'a time stands within a line that has several parts',
    text: 'if (timestamps && state.isAtStart && ',
    becomes: 'if (timestamps && ',
    suite: 'unit/modules/logs/log-text',
  },
  {
    breaks: 'any user may read from the socket of a log',
    text: 'if (this.#isOf(socket, uid)) end(socket);',
    becomes: 'if (this.#isOf(socket, uid) || true) end(socket);',
    suite: sockets,
  },
  {
    breaks: 'the user of a connection is taken for the group',
    text: 'return peer(fd).uid;',
    becomes: 'return peer(fd).pid;',
    suite: sockets,
  },
  {
    breaks: 'a connection of another user ends the socket of a log',
    text: '        else socket.destroy();\n      });\n',
    becomes: '        else { socket.destroy(); end(); }\n      });\n',
    suite: sockets,
  },
  {
    breaks: 'a socket waits for its reader for ever',
    text: 'const timer = setTimeout(() => resolve(undefined), this.#waitMs);',
    becomes: 'const timer = setTimeout(() => undefined, this.#waitMs);',
    suite: sockets,
  },
  {
    breaks: 'a log that was read occupies a place for ever',
    text: '      slot[Symbol.dispose]();\n      this.#stop.signal',
    becomes: '      this.#stop.signal',
    suite: sockets,
  },
  {
    breaks: 'a user may open as many logs as all users together',
    text: 'if (own >= ofUid) {',
    becomes: 'if (own >= inAll) {',
    suite: sockets,
  },
  {
    breaks: 'what a reader does not take is read from the engine all the same',
    text: "if (!reader.write(part)) await Promise.race([once(reader, 'drain'), closed]);",
    becomes: 'reader.write(part);',
    suite: sockets,
  },
  {
    breaks: 'a log is open after its module is gone, while its reader waits',
    text: "  ended.addEventListener('abort', cut, { once: true });\n",
    becomes: '',
    suite: sockets,
  },
  {
    breaks: 'a log is open after the service stopped',
    text: "  life.signal.addEventListener('abort', () => reader.destroy(), { once: true });\n",
    becomes: '',
    suite: sockets,
  },
  {
    breaks: 'sockets of a process before stay',
    text: 'await Promise.all(left.map((name) => rm(join(directory, name), { force: true })));',
    becomes: '',
    suite: sockets,
  },
  {
    breaks: 'the names of sockets can be listed',
    text: 'const mode = 0o711;',
    becomes: 'const mode = 0o755;',
    suite: sockets,
  },
  {
    breaks: 'logs over HTTP are asked for from the year 1970 on',
    text: 'return nanoseconds === 0n ? undefined : nanoseconds;',
    becomes: 'return nanoseconds;',
    suite: http,
  },
  {
    breaks: 'times of logs over HTTP lose what is below a millisecond',
    text: "BigInt(digits.padEnd(9, '0').slice(0, 9));\n  return",
    becomes: "BigInt(digits.padEnd(9, '0').slice(0, 3)) * 1_000_000n;\n  return",
    suite: http,
  },
  {
    breaks: 'a negative number of lines is taken for all',
    text: 'if (!/^\\d+$/.test(text)) throw',
    becomes: 'if (!/^-?\\d+$/.test(text)) throw',
    suite: http,
  },
  {
    breaks: 'logs over HTTP are not limited in number',
    text: "      path: '/modules/:name/logs',\n      lane: 'operations',\n      streams: true,\n",
    becomes: "      path: '/modules/:name/logs',\n      lane: 'operations',\n",
    suite: http,
  },
  {
    breaks: 'a log that is kept nowhere is a mistake of the client',
    text: "if (isServiceError(error, 'NotSupported')) throw new HttpProblem(501, error.message);\n",
    becomes: '',
    suite: http,
  },
  {
    breaks: 'a log over HTTP is cut off when its module is removed',
    text: '    if (!isRemoved || signal.aborted) throw error;\n',
    becomes: '    throw error;\n',
    suite: http,
  },
  {
    breaks: 'frames of logs have the number of the other stream',
    text: 'const streamNumbers = { stdout: 1, stderr: 2 } as const;',
    becomes: 'const streamNumbers = { stdout: 2, stderr: 1 } as const;',
    suite: http,
  },
];
