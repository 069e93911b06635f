/**
 * Redaction of untrusted texts in messages: a user may write a PIN, a password or a key by mistake where an id, a
 * setting or an option is expected. `quoted` and `shown` take one untrusted text and truncate it at the first sign of a
 * secret; `withoutSecrets` takes a whole message and replaces the values in it that are secret.
 */

const maxQuoted = 160;
/** The part of an untrusted text that is examined. */
const maxRead = 640;
/** Longer messages are truncated. */
const maxMessage = 8192;

/** Names of secret values in URIs, connection strings and forms. */
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
/** Attributes of a PKCS#11 URI that select a token or an object. */
const selectorAttributes =
  'token|manufacturer|model|serial|slot-[a-z]{1,16}|library-[a-z]{1,16}|object|id|type';
const pemKey = '-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----';
/** A key of 256 or 512 bits in base64, as clouds issue them. */
const base64Key = '(?:[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{86}==)';
/** The start of a base64 key; a value that is labelled as a SHA-256 is public. */
const base64Start =
  '(?<![A-Za-z0-9+/])(?!(?:(?<=(?:[Ss][Hh][Aa]-?256|[Ff]ingerprint|[Dd]igest)["\'=: /]{0,4})|[Ss][Hh][Aa]256//?)[A-Za-z0-9+/]{43}=(?![A-Za-z0-9+/=]))';
/** Base64 without digits that contains the colon between a user and a password. */
const base64Colon = '(?:[A-Za-z0-9+/]{4})*?(?:O[g-v]|[A-Za-z0-9+/][DTjz][o-r])';
/** HTTP basic credentials; ordinary words after `Basic` decode to no colon and contain no digits. */
const basicCredentials = `\\b[Bb][Aa][Ss][Ii][Cc] +(?=[A-Za-z0-9+/._~-]{8})(?=${base64Colon}|[^\\s"]*[0-9=+/])`;

/** Signs of a secret in an untrusted text. */
const secretSigns: readonly RegExp[] = [
  new RegExp(`(?:${secretNames})\\\\*["']?\\s*(?:[=:]|%3)`, 'i'),
  // an invalid port: a password whose host was cut off
  /:\/\/(?!\[[0-9a-f:.]{2,45}\](?::\d{1,5})?(?:\/|$))(?=[^/]*:(?!\d{1,5}(?:\/|$)))/i,
  /-----BEGIN/,
  new RegExp(basicCredentials),
  /Bearer /i,
  new RegExp(`${base64Start}(?=[A-Za-z0-9+/]{20,}={1,2})`),
];
/** A query or an assignment, which ids, names and paths do not contain either. */
const assignments: readonly RegExp[] = [/^[^?]*\?(?=.*=)/s, /^(?!\/)[^=]*=(?!=?$)/];

const uriScheme = 'pkcs11(?::|%3a)';
/** Selectors may contain spaces: they end with the quotation, the line or before the next URI. */
const uriSelector = `${uriScheme}(?:(?!${uriScheme})(?:\\\\.|[^?"\\\\\\n]))*?`;
/** The rest of the quotation or line: a PIN may contain spaces and most punctuation. */
const restOfLine = '(?:\\\\.|[^"\\n])*';
/** The same, up to the next clause of the message. */
const restOfClause = '(?:\\\\.|(?![;,] )[^"\\n])*';

/** The parts of a PKCS#11 URI that are replaced in a message: attributes that do not select, and the query. */
const uriParts: readonly (readonly [RegExp, string])[] = [
  [new RegExp(`(${uriScheme})(?!(?:${selectorAttributes})(?:=|%3d))[^\\s"]+`, 'gi'), '$1…'],
  [new RegExp(`(${uriSelector})(?:\\?|%3f)${restOfLine}`, 'gi'), '$1?…'],
  // a semicolon and a space continue the sentence
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

/** Secrets in a message, and their replacements. */
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
  // JSON, also within a JSON string, where quotes are escaped
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

/** A cheap prefilter, which every untrusted text with a sign of a secret matches. */
const suspectPattern = /[=:%?]|\/\/|-----BEGIN|(?:Basic|Bearer) /i;
/** A cheap prefilter, which every message with something to replace matches. */
const suspiciousPattern = new RegExp(
  `=|:\\/\\/|%[0-9a-f]{2}|${uriScheme}|"\\s*:\\s*[-+.\\d\\\\"]|(?:Basic|Bearer) |${pemKey}`,
  'i',
);
/** More levels of percent-encoding are suspicious. */
const maxEscapes = 3;

/** The public part of an untrusted text, in quotes. */
export function quoted(text: string): string {
  return JSON.stringify(shown(text));
}

/** The public part of an untrusted text: up to the first sign of a secret, and at most 160 characters. */
export function shown(text: string): string {
  const end = Math.min(publicLength(text.slice(0, maxRead)), maxQuoted);
  return end < text.length ? `${text.slice(0, end)}…` : text;
}

/** Replaces what looks like a secret in a message by `…`, and truncates a long message. */
export function withoutSecrets(message: string): string {
  const text = message.length > maxMessage ? `${message.slice(0, maxMessage)}…` : message;
  if (!suspiciousPattern.test(text)) return text;
  return replacements.reduce(
    (safe, [pattern, mark]) => safe.replace(pattern, mark),
    withoutNeedlessEscapes(text),
  );
}

/** Decodes unnecessary percent-encoding: of letters, digits, dashes and percent signs. */
function withoutNeedlessEscapes(text: string): string {
  if (!text.includes('%')) return text;
  const letter = '3[0-9]|4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a]|2d|5f';
  return text
    .replace(new RegExp(`%(?:25)*(${letter})`, 'gi'), (_, digits: string) => characterOf(digits))
    .replace(/%(?:25)+(?=3[abdf])/gi, '%');
}

/** Whether a text is intended as a PKCS#11 URI, even when misspelled. */
export function isMeantAsPkcs11Uri(text: string): boolean {
  const lead = /^[\s"'<]*(?:(?:key|cert|file):(?:\/\/)?)?[\s"'<]*pkcs[-_ #]*11\s*[:;=?]/i;
  return lead.test(decoded(text.slice(0, maxRead)) ?? '');
}

/** Whether a text contains a secret; the location of one, as in `pin-source`, does not count. */
export function holdsSecret(text: string): boolean {
  const plain = decoded(text);
  if (plain === undefined) return true;
  return secretValues.some(([pattern]) => plain.search(pattern) >= 0);
}

/** The position of the first sign of a secret in an untrusted text; its length when there is none. */
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

/** The start of an authority with a user and a password; the length of the text when there is none. */
function publicHostEnd(text: string): number {
  const at = text.indexOf('//');
  return at >= 0 && text.lastIndexOf('@') > at ? at + 2 : text.length;
}

/** The end of the attributes of a PKCS#11 URI that select a token or an object. */
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

/** Decodes percent-encoding repeatedly; undefined when it is nested too deeply. */
function decoded(text: string): string | undefined {
  let plain = text;
  for (let times = 0; times <= maxEscapes; times++) {
    const before = plain;
    plain = before.replace(/%([0-9a-f]{2})/gi, (_, digits: string) => characterOf(digits));
    if (plain === before) return plain;
  }
  return undefined;
}

function characterOf(digits: string): string {
  return String.fromCharCode(Number.parseInt(digits, 16));
}
