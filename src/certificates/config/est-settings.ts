/** The settings of an issuer that is an EST server (RFC 7030). */
import { quoted } from '../../quoted.ts';
import type { SettingPath } from '../../service/config/config-problem.ts';
import { filePathOf, listOf } from '../../service/config/file-path.ts';
import type { ParseContext } from '../../service/config/parse-context.ts';
import { idSchema, labelSchema } from './certificate-rule.ts';

/** An EST server, parsed. */
export interface EstSettings {
  readonly method: 'est';
  /** An https URL without credentials, query or fragment. */
  readonly url: string;
  readonly label: string | undefined;
  /** Files of trusted roots, PEM or DER; without any, those of the system are trusted. */
  readonly trustedCa: readonly string[];
  readonly username: string | undefined;
  /** An absolute path, or the name of a credential of the unit. */
  readonly passwordFile: string | undefined;
  /** Id of the client certificate; by default that which is renewed. */
  readonly identity: string | undefined;
  /** Id of the client certificate while there is no other. */
  readonly bootstrap: string | undefined;
  /** Whether the attributes that the server asks for are put into requests. */
  readonly csrattrs: 'follow' | 'ignore';
  readonly proxy: string | undefined;
  readonly timeoutMs: number;
}

/** The settings as the schema accepts them. */
export interface EstYaml {
  readonly url?: string;
  readonly label?: string;
  readonly trusted_ca?: string | readonly string[];
  readonly username?: string;
  readonly password_file?: string;
  readonly identity?: string;
  readonly bootstrap?: string;
  readonly csrattrs?: 'follow' | 'ignore';
  readonly proxy?: string;
  readonly timeout_s?: number;
}

const text = { type: 'string', minLength: 1 };
const defaultTimeoutS = 60;

/** JSON schemas of the settings; without defaults, which would be there in the settings of other methods, too. */
export const estProperties = {
  url: {
    description: 'est: the server, an https URL such as https://est.example.com:8443.',
    type: 'string',
    pattern: '^https://[^/?#]',
  },
  label: { description: 'est: the label in its URLs (none).', ...labelSchema },
  trusted_ca: {
    description: 'est: files of roots, PEM or DER, to trust in place of those of the system.',
    anyOf: [text, { type: 'array', items: text, minItems: 1 }],
  },
  username: {
    description: 'est: the user name for HTTP Basic authentication (none).',
    type: 'string',
    pattern: '^[^:\\u0000-\\u001f\\u007f]+$',
  },
  password_file: {
    description: 'est: the file of the password, or the name of a credential of the unit.',
    ...text,
  },
  identity: {
    description: 'est: id of the client certificate; by default the one that is renewed.',
    ...idSchema,
  },
  bootstrap: {
    description: 'est: id of the client certificate as long as there is no other.',
    ...idSchema,
  },
  csrattrs: {
    description:
      'est: whether attributes that the server asks for are put into requests (follow) or not.',
    type: 'string',
    enum: ['follow', 'ignore'],
  },
  proxy: { description: 'est: http:// URL of a proxy.', type: 'string', pattern: '^https?://' },
} as const;

/** Parses the settings of an EST server; reports those that no server can be reached with. */
export function parseEst(
  yaml: EstYaml,
  path: SettingPath,
  context: Pick<ParseContext, 'report'>,
): EstSettings {
  const { username, password_file: passwordFile, proxy } = yaml;
  const report = (name: string, message: string): void => context.report([...path, name], message);
  if ((username === undefined) !== (passwordFile === undefined)) {
    const missing = username === undefined ? 'username' : 'password_file';
    report(username === undefined ? 'password_file' : 'username', `needs ${missing}`);
  }
  if (passwordFile !== undefined && !isPasswordFile(passwordFile)) {
    const text = `${quoted(passwordFile)} is neither an absolute path nor the name of a credential`;
    report('password_file', text);
  }
  if (proxy !== undefined && !URL.canParse(proxy)) report('proxy', 'not a URL');
  return {
    method: 'est',
    url: parseUrl(yaml.url, report),
    label: yaml.label,
    trustedCa: listOf(yaml.trusted_ca ?? []).map((one) => {
      const file = filePathOf(one);
      if (file === undefined) report('trusted_ca', `${quoted(one)} is not the path of a file`);
      return file ?? one;
    }),
    username,
    passwordFile,
    identity: yaml.identity,
    bootstrap: yaml.bootstrap,
    csrattrs: yaml.csrattrs ?? 'follow',
    proxy,
    timeoutMs: (yaml.timeout_s ?? defaultTimeoutS) * 1000,
  };
}

function isPasswordFile(text: string): boolean {
  return filePathOf(text) === text || /^(?!\.{1,2}$)[^/\0]+$/.test(text);
}

/** The URL without a slash at its end. */
function parseUrl(
  text: string | undefined,
  report: (name: string, message: string) => void,
): string {
  if (text === undefined) {
    report('method', 'est needs url');
    return '';
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) report('url', 'not a URL');
  else if (url.username + url.password !== '') {
    report('url', 'has a user or password: they belong into username and password_file');
  } else if (url.search + url.hash !== '') report('url', 'has a query or a fragment');
  return text.replace(/\/+$/, '');
}
