/**
 * What messages may repeat of texts that others wrote: a PIN, a password or a key stands wherever it was
 * written by mistake, as an id, as a key of a configuration, as an option. `quoted` and `shown` are for one
 * untrusted text and cut it at the first sign of a secret; `withoutSecrets` is for a whole message, in which
 * it replaces the values that are known to be secret.
 */

const maxQuoted = 160;
/** More than this of an untrusted text is not looked at. */
const maxRead = 640;
/** A longer message only fills the journal. */
const maxMessage = 8192;

/** Names whose values are secret, as URIs, connection strings and forms have them. */
const secretNames = [
  '(?<![a-z])pin(?:[-_ ]|%2d)?(?:value)?',
  '(?:shared)?access[-_ ]?(?:key|signature|token)',
  '(?:account|primary|secondary|symmetric|api)[-_ ]?key',
  'sas[-_ ]?(?:key|token)',
  '(?<![a-z])sig(?:nature)?',
  'pass(?:word|wd|phrase|code)?',
  '(?<![a-z])pwd',
  'secret',
  '(?:identity|registry|refresh|bearer|auth)[-_ ]?token',
].join('|');
/** What selects a token or an object in a PKCS#11 URI. */
const selectorAttributes =
  'token|manufacturer|model|serial|slot-[a-z]{1,16}|library-[a-z]{1,16}|object|id|type';
const pemKey = '-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----';
/** A key of 256 or 512 bits in base64, as clouds hand them out. */
const base64Key = '(?:[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{86}==)';
/** Where base64 begins; a SHA-256 that is called so is public. */
const base64Start =
  '(?<![A-Za-z0-9+/])(?!(?:(?<=(?:[Ss][Hh][Aa]-?256|[Ff]ingerprint|[Dd]igest)["\'=: /]{0,4})|[Ss][Hh][Aa]256//?)[A-Za-z0-9+/]{43}=(?![A-Za-z0-9+/=]))';
/** A colon between a user and a password, where base64 spells it without a digit. */
const base64Colon = '(?:[A-Za-z0-9+/]{4})*?(?:O[g-v]|[A-Za-z0-9+/][DTjz][o-r])';
/** What HTTP sends of a user; ordinary words after `Basic` have no colon in them, and no digits. */
const basicCredentials = `\\b[Bb][Aa][Ss][Ii][Cc] +(?=[A-Za-z0-9+/._~-]{8})(?=${base64Colon}|[^\\s"]*[0-9=+/])`;

/** Each matches up to where a secret may begin in an untrusted text. */
const secretSigns: readonly RegExp[] = [
  new RegExp(`(?:${secretNames})\\\\*["']?\\s*(?:[=:]|%3)`, 'i'),
  // a port that is none: a password whose host was cut off
  /:\/\/(?!\[[0-9a-f:.]{2,45}\](?::\d{1,5})?(?:\/|$))(?=[^/]*:(?!\d{1,5}(?:\/|$)))/i,
  /-----BEGIN/,
  new RegExp(basicCredentials),
  /Bearer /i,
  new RegExp(`${base64Start}(?=[A-Za-z0-9+/]{20,}={1,2})`),
];
/** What an id, a name or a path does not have either: a query, an assignment. */
const assignments: readonly RegExp[] = [/^[^?]*\?(?=.*=)/s, /^(?!\/)[^=]*=(?!=?$)/];

const uriScheme = 'pkcs11(?::|%3a)';
/** A selector has attributes with spaces in them too: it ends where the quotation, the line or the next URI does. */
const uriSelector = `${uriScheme}(?:(?!${uriScheme})(?:\\\\.|[^?"\\\\\\n]))*?`;
/** The rest of the quotation or line: a PIN may have spaces and most signs. */
const restOfLine = '(?:\\\\.|[^"\\n])*';
/** The same up to where a message goes on. */
const restOfClause = '(?:\\\\.|(?![;,] )[^"\\n])*';

/** What of a PKCS#11 URI is replaced in a message: what is no attribute of a selector, and the query. */
const uriParts: readonly (readonly [RegExp, string])[] = [
  [new RegExp(`(${uriScheme})(?!(?:${selectorAttributes})(?:=|%3d))[^\\s"]+`, 'gi'), '$1…'],
  [new RegExp(`(${uriSelector})(?:\\?|%3f)${restOfLine}`, 'gi'), '$1?…'],
  // a sentence goes on behind a semicolon and a space
  [
    new RegExp(
      `(${uriSelector}(?:;|%3b))(?!(?:${selectorAttributes})(?:=|%3d)|[\\s"]|$)${restOfLine}`,
      'gi',
    ),
    '$1…',
  ],
];

const assignmentSign = '[ \\t]*(?:=|%3d)[ \\t]*';
const quoteSign = '\\\\*["\'`]';

/** What is secret wherever it stands in a message, and what stands there instead. */
const secretValues: readonly (readonly [RegExp, string])[] = [
  [
    new RegExp(`((?:${secretNames})${assignmentSign}(${quoteSign}))(?:(?!\\2)[^\\n])*`, 'gi'),
    '$1…',
  ],
  [
    new RegExp(
      `((?<![a-z])pin(?:[-_]|%2d)?(?:value)?${assignmentSign})(?!${quoteSign})${restOfClause}`,
      'gi',
    ),
    '$1…',
  ],
  [
    new RegExp(`((?:${secretNames})${assignmentSign})(?!${quoteSign}|…, )[^&;?"'\`\\s]+`, 'gi'),
    '$1…',
  ],
  // JSON, also in a text of JSON, where every quote has a backslash
  [
    new RegExp(
      `(?<!\\\\)((\\\\*)"(?:${secretNames})\\2"\\s*:\\s*\\2")[^\\n]*?(?:(?<!\\\\)(\\2")|$)`,
      'gim',
    ),
    '$1…$3',
  ],
  [new RegExp(`("(?:${secretNames})\\\\*"\\s*:\\s*)[-+.\\d][^\\s,;}\\]"]*`, 'gi'), '$1…'],
  [/(:\/\/)[^\s"'`<>/@]{1,512}@/g, '$1…@'],
  [new RegExp(`(${basicCredentials})[A-Za-z0-9+/._~-]+=*`, 'g'), '$1…'],
  [/\b(Bearer) +(?=[^\s"]*[0-9=+/])[A-Za-z0-9+/._~-]{8,}=*/gi, '$1 …'],
  [new RegExp(`${pemKey}.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|$)`, 'gs'), '(private key)'],
  [new RegExp(`${base64Start}${base64Key}`, 'g'), '…'],
];

const replacements = [...uriParts, ...secretValues];

/** What every untrusted text with one of the signs has: most texts have none of it, and are done with. */
const suspectPattern = /[=:%?]|\/\/|-----BEGIN|(?:Basic|Bearer) /i;
/** What every message has in which something is replaced. */
const suspiciousPattern = new RegExp(
  `=|:\\/\\/|%[0-9a-f]{2}|${uriScheme}|"\\s*:\\s*[-+.\\d\\\\"]|(?:Basic|Bearer) |${pemKey}`,
  'i',
);
/** An escape that is escaped more often than this hides what it is. */
const mostEscapes = 3;

/** An untrusted text in quotes, as far as a message may show it. */
export function quoted(text: string): string {
  return JSON.stringify(shown(text));
}

/** An untrusted text as far as a message may show it: no part that may be secret, and at most 160 characters. */
export function shown(text: string): string {
  const end = Math.min(publicLength(text.slice(0, maxRead)), maxQuoted);
  return end < text.length ? `${text.slice(0, end)}…` : text;
}

/** A message with `…` for what looks like a secret in it, and not longer than anybody reads. */
export function withoutSecrets(message: string): string {
  const text = message.length > maxMessage ? `${message.slice(0, maxMessage)}…` : message;
  if (!suspiciousPattern.test(text)) return text;
  return replacements.reduce(
    (safe, [pattern, mark]) => safe.replace(pattern, mark),
    plainlySpelled(text),
  );
}

/** The text without escapes that nobody needs: of letters, digits and dashes, and of other escapes. */
function plainlySpelled(text: string): string {
  if (!text.includes('%')) return text;
  const letter = '3[0-9]|4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a]|2d|5f';
  return text
    .replace(new RegExp(`%(?:25)*(${letter})`, 'gi'), (_, digits: string) => characterOf(digits))
    .replace(/%(?:25)+(?=3[abdf])/gi, '%');
}

/** Whether a text is meant as a PKCS#11 URI, however it is spelled. */
export function isMeantAsPkcs11Uri(text: string): boolean {
  const lead = /^[\s"'<]*(?:(?:key|cert|file):(?:\/\/)?)?[\s"'<]*pkcs[-_ #]*11\s*[:;=?]/i;
  return lead.test(decoded(text.slice(0, maxRead)) ?? '');
}

/** Whether a text holds a secret; the place of one, as in `pin-source`, is none. */
export function holdsSecret(text: string): boolean {
  const plain = decoded(text);
  if (plain === undefined) return true;
  return secretValues.some(([pattern]) => plain.search(pattern) >= 0);
}

/** Where in an untrusted text something begins that is not for every reader; its length when nothing does. */
function publicLength(text: string): number {
  if (!suspectPattern.test(text)) return text.length;
  const uri = /pkcs[-_ #]*11\s*:/i.exec(text);
  const uriEnd = uri === null ? text.length : publicUriEnd(text, uri.index + uri[0].length);
  const signs = uri === null ? [...secretSigns, ...assignments] : secretSigns;
  const ends = signs.flatMap((sign) => {
    const found = sign.exec(text);
    return found === null ? [] : [found.index + found[0].length];
  });
  const end = Math.min(uriEnd, publicHostEnd(text), ...ends);
  const plain = decoded(text.slice(0, end));
  if (plain === undefined) return 0;
  return plain.length < end && publicLength(plain) < plain.length ? 0 : end;
}

/** Where a host would begin that has a user before it, and a password. */
function publicHostEnd(text: string): number {
  const at = text.indexOf('//');
  return at >= 0 && text.lastIndexOf('@') > at ? at + 2 : text.length;
}

/** Where the attributes of a PKCS#11 URI end that select a token or an object. */
function publicUriEnd(text: string, from: number): number {
  const attribute = new RegExp(`(?:${selectorAttributes})=([^;?&=]*)(?:;|\\?|$)`, 'iy');
  let end = from;
  while (end < text.length && !text.slice(from, end).endsWith('?')) {
    attribute.lastIndex = end;
    const [whole, value = ''] = attribute.exec(text) ?? [];
    if (whole === undefined || /[;?&=]/.test(decoded(value) ?? '=')) return end;
    end += whole.length;
  }
  return end;
}

/** The text with its percent-escapes read, also where they were escaped themselves; undefined when too often. */
function decoded(text: string): string | undefined {
  let plain = text;
  for (let times = 0; times <= mostEscapes; times++) {
    const before = plain;
    plain = before.replace(/%([0-9a-f]{2})/gi, (_, digits: string) => characterOf(digits));
    if (plain === before) return plain;
  }
  return undefined;
}

function characterOf(digits: string): string {
  return String.fromCharCode(Number.parseInt(digits, 16));
}
