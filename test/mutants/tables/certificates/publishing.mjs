const files = 'component/certificates/publishing/published-files';
const watch = 'component/cli/certificates/watch';
const service = 'integration/certificates/publish';

export default [
  {
    breaks: 'published files are as private as the umask of the service',
    text: "await file.chmod(fileMode); // the service's own files are private",
    becomes: '',
    suite: files,
  },
  {
    breaks: 'a version is written below the link, where readers see it grow',
    text: 'await this.#disk.rename(link, join(home, linkName));\n',
    becomes:
      'await this.#disk.unlink(join(home, linkName)).catch(() => undefined);\n      await this.#disk.rename(link, join(home, linkName));\n',
    suite: files,
  },
  {
    breaks: 'the grace period of a former version begins when it was written',
    text: 'if (former !== undefined) await this.#touch(former);',
    becomes: '',
    suite: files,
  },
  {
    breaks: 'a former version outlives its grace period',
    text: 'if (rank >= maxFormer || now - at >= this.#graceMs) await',
    becomes: 'if (rank >= maxFormer) await',
    suite: files,
  },
  {
    breaks: 'former versions are kept without a bound',
    text: 'if (rank >= maxFormer || now - at >= this.#graceMs) await',
    becomes: 'if (now - at >= this.#graceMs) await',
    suite: files,
  },
  {
    breaks: 'a clock that was set back keeps a former version for years',
    text: 'if (mtimeMs <= now + 1000) return mtimeMs;',
    becomes: 'if (mtimeMs < Infinity) return mtimeMs;',
    suite: files,
  },
  {
    breaks: 'a link to an equal file passes for a published one',
    text: 'constants.O_NONBLOCK | constants.O_NOFOLLOW | constants.O_RDONLY;',
    becomes: 'constants.O_NONBLOCK | constants.O_RDONLY;',
    suite: files,
  },
  {
    breaks: "a link to another certificate's version passes for the current one",
    text: 'return versionName.exec(version)?.[1] === name ? version : undefined;',
    becomes: 'return versionName.test(version) ? version : undefined;',
    suite: files,
  },
  {
    breaks: 'files that others may write pass for published ones',
    text: 'if (!stats.isFile() || !isOwn(stats, fileMode)) return false;',
    becomes: 'if (!stats.isFile()) return false;',
    suite: files,
  },
  {
    breaks: 'a link in place of the directory of a certificate is followed',
    text: "if (kind === 'other' && path !== this.directory) await this.#disk.unlink(path);",
    becomes: "if (kind === 'other') return;",
    suite: files,
  },
  {
    breaks: "certificates are published in another user's directory",
    text: 'if (stats.uid !== own) {\n    const mending',
    becomes: 'if (stats.uid === -1) {\n    const mending',
    suite: files,
  },
  {
    breaks: 'certificates are published where other users can replace them',
    text: 'if ((uid !== 0 && uid !== own) || isShared) {',
    becomes: 'if (uid !== 0 && uid !== own) {',
    suite: files,
  },
  {
    breaks: 'certificates are published where other programs cannot read them',
    text: 'if (!isLink && (mode & enterOfOthers) === 0) {',
    becomes: 'if (!isLink && mode === 0) {',
    suite: files,
  },
  {
    breaks: 'Renew returns before the files are those of the new certificate',
    text: 'await service.changed(id, entry);\n      await publishing.settled();',
    becomes: 'await service.changed(id, entry);',
    suite: service,
  },
  {
    breaks: 'a start does not repair what is published',
    text: 'this.#isStarted = true;\n    this.request();\n  }',
    becomes: 'this.#isStarted = true;\n  }',
    suite: service,
  },
  {
    breaks: 'what cannot be published is not reported',
    text: 'onProblems: (problems) => service.showPublishing(problems),',
    becomes: 'onProblems: () => undefined,',
    suite: service,
  },
  {
    breaks: 'a deleted certificate stays published',
    text: 'for (const id of present) {\n      if (ids.some((one) => one === id)) continue;',
    becomes: 'for (const id of present) {\n      if (present.length > 0) continue;',
    suite: service,
  },
  {
    breaks: 'certificates may be published below a state directory',
    text: 'if (state === undefined) return [];\n  const problem = `other programs',
    becomes: 'if (state !== path) return [];\n  const problem = `other programs',
    suite: 'component/cli/configuration/cross-check',
  },
  {
    breaks: 'a watch misses a swap that happens during a reload',
    text: "'done',\n].join(' ')",
    becomes: "'break; done',\n].join(' ')",
    suite: watch,
  },
  {
    breaks: 'a reload that failed counts as done',
    text: 'systemctl try-reload-or-restart -- "$3" && echo',
    becomes: 'systemctl try-reload-or-restart -- "$3"; echo',
    suite: watch,
  },
  {
    breaks: 'the path unit watches the link, for which systemd never fires',
    text: 'PathChanged=${home}\n',
    becomes: 'PathChanged=${home}/current\n',
    suite: watch,
  },
  {
    breaks: 'units of two certificates have one name',
    text: "character === '/' ? '-' :",
    becomes: "character === '/' || character === '-' ? '-' :",
    suite: watch,
  },
  {
    breaks: 'a server that was not reloaded is not reported',
    text: 'if (read === version) return [];',
    becomes: 'if (read !== undefined) return [];',
    suite: watch,
  },
  {
    breaks: 'a server is reported before its reload was due',
    text: 'if (now.getTime() - since < lateMs) return [];',
    becomes: '',
    suite: watch,
  },
  {
    breaks: 'a masked unit is written over',
    text: 'if (present?.startsWith(watchHeader) === false) {',
    becomes: "if (present?.startsWith(watchHeader) === false && present !== '') {",
    suite: watch,
  },
  {
    breaks: 'the key of a published certificate is that of another one',
    text: "['key.pem', keyPem(keyId, leaf.spki)],",
    becomes: "['key.pem', keyPem(`${keyId}@0`, leaf.spki)],",
    suite: 'integration/certificates/servers',
  },
  {
    breaks: 'the end of a watch removes the file of another author',
    text: 'if (text === undefined || reloadOf(id, text) === reload) return text !== undefined;',
    becomes: "if (directory !== '') return text !== undefined;",
    suite: watch,
  },
  {
    breaks: 'the end of the watches on a certificate ends those on another one, too',
    text: 'const start = `${watchHeader}${id} --reload `;\n  return head.startsWith(start)',
    becomes: 'const start = `${watchHeader}${id}`;\n  return head.startsWith(start)',
    suite: watch,
  },
  {
    breaks: 'a directory that cannot be published is logged at every pass',
    text: 'key !== directory && !ids.some',
    becomes: '!ids.some',
    suite: 'component/certificates/publishing/publishing',
  },
  {
    breaks: 'a publish_dir that never was is made when another one is configured',
    text: 'if (await before.exists()) await this.#sync(before, source, { ids: [] });',
    becomes: 'await this.#sync(before, source, { ids: [] });',
    suite: 'component/certificates/publishing/publishing',
  },
];
