/**
 * The version of the engine's API. Without one in the path, an engine responds in its newest version, which may differ
 * from what this runtime was tested with.
 */

/** That of Engine 28.5, the newest one that the tests have run with. */
const newest: Version = [1, 51];

type Version = readonly [major: number, minor: number];

/**
 * The version for requests to an engine that describes itself so, such as `v1.51`: the newest that both know, and of a
 * newer engine that has dropped that, its oldest; `` when it names none.
 */
export function apiVersionFor(info: object): string {
  const members = new Map<string, unknown>(Object.entries(info));
  const offered = versionIn(members.get('ApiVersion'));
  if (offered === undefined) return '';
  const oldest = versionIn(members.get('MinAPIVersion'));
  const common = isBelow(offered, newest) ? offered : newest;
  return `v${(oldest !== undefined && isBelow(common, oldest) ? oldest : common).join('.')}`;
}

function versionIn(text: unknown): Version | undefined {
  const [, major, minor] = /^(\d{1,3})\.(\d{1,3})$/.exec(String(text)) ?? [];
  return major === undefined ? undefined : [Number(major), Number(minor)];
}

function isBelow([major, minor]: Version, [otherMajor, otherMinor]: Version): boolean {
  return major === otherMajor ? minor < otherMinor : major < otherMajor;
}
