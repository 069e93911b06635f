import { isRecord } from './spec/json.ts';

const hidden = '…';
/** Tools for IoT Edge keep the environment of a module in labels of these names. */
const toolsLabels = 'net.azure-devices.edge.';
const publicLabels: ReadonlySet<string> = new Set(
  ['owner', 'original-image'].map((name) => `${toolsLabels}${name}`),
);

/**
 * A configuration of GetConfig to be shown: values of the environment may be secrets, so only the names of its variables
 * are left, and of the labels in which tools keep it; passwords are none of it in the first place.
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
    Object.entries(createOptions).map(([key, value]) => {
      if (/^env$/i.test(key) && Array.isArray(value)) return [key, value.map(nameOf)];
      if (/^labels$/i.test(key) && isRecord(value)) return [key, withoutToolsLabels(value)];
      return [key, value];
    }),
  );
}

function withoutToolsLabels(labels: Readonly<Record<string, unknown>>): unknown {
  return Object.fromEntries(
    Object.entries(labels).map(([name, text]) => [
      name,
      name.startsWith(toolsLabels) && !publicLabels.has(name) ? hidden : text,
    ]),
  );
}

function nameOf(line: unknown): string {
  return `${String(line).split('=', 1)[0]}=${hidden}`;
}
