import { isRecord } from './spec/json.ts';

const hidden = '…';

/**
 * A configuration of GetConfig to be shown: values of the environment may be secrets, so only the names of its variables
 * are left; passwords are none of it in the first place.
 */
export function shownConfig(json: string): unknown {
  const config: unknown = JSON.parse(json);
  if (!isRecord(config)) return {};
  const { createOptions, auth, ...others } = config;
  return {
    ...others,
    ...(isRecord(auth) && { auth: { ...auth, password: hidden } }),
    ...(createOptions !== undefined && { createOptions: withoutValues(createOptions) }),
  };
}

function withoutValues(createOptions: unknown): unknown {
  if (!isRecord(createOptions)) return {};
  return Object.fromEntries(
    Object.entries(createOptions).map(([key, value]) => [
      key,
      /^env$/i.test(key) && Array.isArray(value) ? value.map(nameOf) : value,
    ]),
  );
}

function nameOf(line: unknown): string {
  return `${String(line).split('=', 1)[0]}=${hidden}`;
}
