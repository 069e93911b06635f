/** The issuers of `certificates.yaml`, by name. */
import type { SettingPath } from '../../service/config/config-problem.ts';
import type { ParseContext } from '../../service/config/parse-context.ts';
import { keyReferenceSchema, withKeyId } from './certificate-rule.ts';
import {
  type CommandSettings,
  type CommandYaml,
  commandProperties,
  parseCommand,
} from './command-settings.ts';
import { type EstSettings, type EstYaml, estProperties, parseEst } from './est-settings.ts';

/** A CA of this device, which is named by the id of its certificate. */
export interface LocalCaSettings {
  readonly method: 'local_ca';
  readonly key_id?: string;
}

/** An issuer. */
export type IssuerSettings = LocalCaSettings | EstSettings | CommandSettings;

/** The settings as the schema accepts them. */
export interface IssuerYaml extends EstYaml, CommandYaml {
  readonly method?: IssuerSettings['method'];
  readonly key_id?: string;
}

/** JSON schema of an issuer. */
export const issuerSchema = {
  type: 'object',
  properties: {
    method: {
      description:
        'What it is; local_ca: a CA of this device, by the id of its certificate; est: an EST server (RFC 7030); command: a program that gets certificates (a helper of certmonger).',
      type: 'string',
      enum: ['local_ca', 'est', 'command'],
      default: 'local_ca',
    },
    key_id: { description: 'Id of the key of the CA certificate.', ...keyReferenceSchema },
    ...estProperties,
    ...commandProperties,
  },
  additionalProperties: false,
} as const;

const settingsOfMethods: ReadonlyMap<IssuerSettings['method'], readonly string[]> = new Map([
  ['local_ca', ['key_id']],
  ['est', [...Object.keys(estProperties), 'timeout_s']],
  ['command', Object.keys(commandProperties)],
]);

/** Parses an issuer; reports settings of another method. */
export function parseIssuer(
  yaml: IssuerYaml,
  path: SettingPath,
  context: Pick<ParseContext, 'report'>,
): IssuerSettings {
  const { method = 'local_ca' } = yaml;
  for (const name of Object.keys(yaml)) {
    if (name === 'method' || settingsOfMethods.get(method)?.includes(name)) continue;
    const others = [...settingsOfMethods].flatMap(([one, names]) =>
      names.includes(name) ? one : [],
    );
    context.report([...path, name], `is a setting of the method ${others.join(' or ')}`);
  }
  switch (method) {
    case 'est':
      return parseEst(yaml, path, context);
    case 'command':
      return parseCommand(yaml, path, context);
    case 'local_ca': {
      const { key_id: keyId } = withKeyId({ key_id: yaml.key_id }, path, context);
      return { method, ...(keyId !== undefined && { key_id: keyId }) };
    }
  }
}

/** The configured key of an issuer; undefined when there is none. */
export function keyIdOf(issuer: IssuerSettings | undefined): string | undefined {
  return issuer?.method === 'local_ca' ? issuer.key_id : undefined;
}
