/** The issuers of `certificates.yaml`, by name. */
import type { SettingPath } from '../../service/config/config-problem.ts';
import type { ParseContext } from '../../service/config/parse-context.ts';
import { keyReferenceSchema, withKeyId } from './certificate-rule.ts';
import { type EstSettings, type EstYaml, estProperties, parseEst } from './est-settings.ts';

/** A CA of this device, which is named by the id of its certificate. */
export interface LocalCaSettings {
  readonly method: 'local_ca';
  readonly key_id?: string;
}

/** An issuer. */
export type IssuerSettings = LocalCaSettings | EstSettings;

/** The settings as the schema accepts them. */
export interface IssuerYaml extends EstYaml {
  readonly method?: 'local_ca' | 'est';
  readonly key_id?: string;
}

/** JSON schema of an issuer. */
export const issuerSchema = {
  type: 'object',
  properties: {
    method: {
      description:
        'What it is; local_ca: a CA of this device, by the id of its certificate; est: an EST server (RFC 7030).',
      type: 'string',
      enum: ['local_ca', 'est'],
      default: 'local_ca',
    },
    key_id: { description: 'Id of the key of the CA certificate.', ...keyReferenceSchema },
    ...estProperties,
  },
  additionalProperties: false,
} as const;

/** Parses an issuer; reports settings of another method. */
export function parseIssuer(
  yaml: IssuerYaml,
  path: SettingPath,
  context: Pick<ParseContext, 'report'>,
): IssuerSettings {
  const isEst = yaml.method === 'est';
  for (const name of Object.keys(yaml)) {
    const isOther = isEst ? name === 'key_id' : Object.hasOwn(estProperties, name);
    if (isOther) {
      context.report([...path, name], `is a setting of the method ${isEst ? 'local_ca' : 'est'}`);
    }
  }
  if (isEst) return parseEst(yaml, path, context);
  const { key_id: keyId } = withKeyId({ key_id: yaml.key_id }, path, context);
  return { method: 'local_ca', ...(keyId !== undefined && { key_id: keyId }) };
}

/** The configured key of an issuer; undefined when there is none. */
export function keyIdOf(issuer: IssuerSettings | undefined): string | undefined {
  return issuer?.method === 'local_ca' ? issuer.key_id : undefined;
}
