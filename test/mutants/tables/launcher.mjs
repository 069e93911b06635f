export default [
  {
    breaks: 'a cache of another text of equal length is given to V8',
    text: "JSON.stringify([hash('sha256', source), node, wrapper])",
    becomes: 'JSON.stringify([source.length, node, wrapper])',
    suite: 'component/launcher/launcher',
  },
  {
    breaks: 'a cache of another Node is given to V8',
    text: "[hash('sha256', source), node, wrapper]",
    becomes: "[hash('sha256', source), wrapper]",
    suite: 'component/launcher/code-cache',
  },
  {
    breaks: 'a cache of a rebuilt Node of the same version is given to V8',
    text: "[process.version, process.arch, size, mtimeMs].join(' ')",
    becomes: "[process.version, process.arch].join(' ')",
    suite: 'component/launcher/code-cache',
  },
  {
    breaks: 'flipped bits in the code of a cache are not noticed',
    text: '.update(`${made}\\n`).update(code).digest()',
    becomes: '.update(`${made}\\n${code.length}`).digest()',
    suite: 'component/launcher/code-cache',
  },
  {
    breaks: 'the digest of a cache is not compared',
    text: 'return isIntact ? code : undefined;',
    becomes: 'return isIntact || code.length > 0 ? code : undefined;',
    suite: 'component/launcher/launcher',
  },
  {
    breaks: 'half of the digest of a cache is compared',
    text: 'digestOf(code, source, node).equals(sealed.subarray(0, digestBytes))',
    becomes: 'digestOf(code, source, node).subarray(0, 16).equals(sealed.subarray(0, 16))',
    suite: 'component/launcher/code-cache',
  },
  {
    breaks: 'a cache without code is accepted',
    text: 'if (sealed.length <= digestBytes) return undefined;',
    becomes: '',
    suite: 'component/launcher/code-cache',
  },
  {
    breaks: 'a missing or unreadable cache ends the program',
    text: `  } catch {
    return undefined;
  }
}

/** The content of a regular file;`,
    becomes: `  } finally {
  }
}

/** The content of a regular file;`,
    suite: 'component/launcher/code-cache',
  },
  {
    breaks: 'a cache is read from a folder that others may write',
    text: 'if (!directory.isDirectory() || !isTrusted(directory, owner)) return undefined;',
    becomes: 'if (!directory.isDirectory()) return undefined;',
    suite: 'component/launcher/code-cache',
  },
  {
    breaks: 'a cache is read from a folder behind a link',
    text: 'const directory = lstatSync(dirname(path));',
    becomes: 'const directory = statSync(dirname(path));',
    suite: 'component/launcher/code-cache',
  },
  {
    breaks: 'a cache is read through a link',
    text: 'constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK',
    becomes: 'constants.O_RDONLY | constants.O_NONBLOCK',
    suite: 'component/launcher/code-cache',
  },
  {
    breaks: 'a pipe in the place of a cache is waited for',
    text: 'constants.O_NOFOLLOW | constants.O_NONBLOCK',
    becomes: 'constants.O_NOFOLLOW',
    suite: 'component/launcher/launcher',
  },
  {
    breaks: 'a cache that others may write is given to V8',
    text: 'found.isFile() && isTrusted(found, owner)',
    becomes: 'found.isFile()',
    suite: 'component/launcher/code-cache',
  },
  {
    breaks: 'a cache that the group may write is given to V8',
    text: 'const writableByOthers = 0o022;',
    becomes: 'const writableByOthers = 0o002;',
    suite: 'component/launcher/code-cache',
  },
  {
    breaks: 'a cache of any user is given to V8',
    text: '(uid === 0 || uid === owner) && (mode & writableByOthers) === 0',
    becomes: '(mode & writableByOthers) === 0',
    suite: 'component/launcher/code-cache',
  },
  {
    breaks: 'a cache of root is not used in a checkout of another user',
    text: '(uid === 0 || uid === owner) &&',
    becomes: 'uid === owner &&',
    suite: 'component/launcher/code-cache',
  },
  {
    breaks: 'V8 is given no code',
    text: '...(code && { cachedData: code }),',
    becomes: '',
    suite: 'component/launcher/launcher',
  },
  {
    breaks: 'places in the first line of a bundle are wrong',
    text: 'columnOffset: -head.length,',
    becomes: '',
    suite: 'component/launcher/launcher',
  },
  {
    breaks: 'a cache that fits is made again',
    text: 'if (warmUp === undefined || cachedCode(readBundle(path)) !== undefined) return;',
    becomes: 'if (warmUp === undefined) return;',
    suite: 'component/launcher/cache-maker',
  },
  {
    breaks: 'the cache of a program that ends before its first reply is kept',
    text: 'if (end !== undefined && calls.length > 0)',
    becomes: 'if (end !== undefined && calls.length > 99)',
    suite: 'component/launcher/cache-maker',
  },
  {
    breaks: 'the maker leaves its directory behind',
    text: 'await rm(directory, { recursive: true, force: true });',
    becomes: '',
    suite: 'component/launcher/cache-maker',
  },
  {
    breaks: 'others may write the cache that is made',
    text: 'await chmod(temporary, 0o644);',
    becomes: 'await chmod(temporary, 0o666);',
    suite: 'component/launcher/cache-maker',
  },
  {
    breaks: 'the maker exits with 0 although a cache is missing',
    text: '      code = 1;',
    becomes: '',
    suite: 'component/launcher/cache-maker',
  },
  {
    breaks: 'a process for a library is started for --help',
    text: "if (command.kind !== 'serve' || !existsSync(host) || !namesLibrary(command.configDir)) return;",
    becomes: 'if (!existsSync(host) || !namesLibrary(command.configDir ?? args[1])) return;',
    suite: 'component/launcher/early-host',
  },
  {
    breaks: 'a process for a library is started without its program',
    text: '!existsSync(host) || !namesLibrary(command.configDir)',
    becomes: '!namesLibrary(command.configDir)',
    suite: 'component/launcher/early-host',
  },
  {
    breaks: 'a failure to start the process for a library in advance ends the service',
    text: "child.on('error', () => undefined);",
    becomes: '',
    suite: 'component/launcher/early-host',
  },
  {
    breaks: 'a process for a library is started because of a comment',
    text: '/^[^#\\n]*pkcs11/m.test(',
    becomes: '/pkcs11/m.test(',
    suite: 'component/launcher/early-host',
  },
  {
    breaks: 'the launcher reads no drop-ins',
    text: "[join(configDir, 'keys.yaml'), ...more].some(mentionsPkcs11)",
    becomes: "[join(configDir, 'keys.yaml')].some(mentionsPkcs11)",
    suite: 'component/launcher/early-host',
  },
  {
    breaks: 'the launcher waits for a pipe in the place of a drop-in',
    text: 'const file = openSync(path, constants.O_NONBLOCK | constants.O_RDONLY);',
    becomes: 'const file = openSync(path, constants.O_RDONLY);',
    suite: 'component/launcher/early-host',
  },
  {
    breaks: 'functions of the token are not in the cache of Keys',
    text: "setFlagsFromString('--no-lazy');",
    becomes: '',
    suite: 'component/launcher/cache-maker',
  },
  {
    breaks: 'V8 rejects the cache of Keys, made with other flags',
    text: "setFlagsFromString('--lazy');",
    becomes: '',
    suite: 'component/launcher/launcher',
  },
  {
    breaks: 'a program that hangs is waited for when its cache is made',
    text: 'timeout: this.#deadlineMs,',
    becomes: '',
    suite: 'component/launcher/cache-maker',
  },
];
