// The order in which test/run.mjs starts files; the end of a run says which are the slowest.

/** They take half a minute or longer, the longest first, so that no run ends with one of them alone. */
export const longest = [
  'system/booted/documents',
  'system/packages/lintian',
  'system/packages/power-cut',
  'system/packages/chroot',
  'system/demonstration',
  'system/booted/administration',
  'integration/modules/agent/deployment',
  'system/booted/packages',
  'integration/modules/update/update',
  'integration/modules/api/endpoints',
  'integration/modules/engine/faults',
  'integration/modules/restarts/restarts',
  'integration/modules/operations',
  'integration/modules/confinement',
  'integration/clients/cpp',
  'integration/service/run',
  'integration/native/openssl',
  'integration/modules/runtime',
];

/** They sleep, or wait for deadlines of the product, for more than four fifths of their time; the longest first. */
export const waiting = [
  'integration/keys/login-tries',
  'integration/keys/hanging-library',
  'integration/modules/api/outage',
  'integration/identity/provisioning',
  'integration/identity/modules',
  'integration/keys/slow-library',
  'component/modules/api/http/damaged-requests',
  'integration/keys/two-tokens',
  'integration/identity/state',
  'integration/keys/token-failures',
  'integration/native/openssl-deadline',
  'integration/dbus/raw-bus',
  'integration/modules/api/floods',
  'component/modules/api/http/connections',
  'unit/modules/api/workload/outage',
  'unit/service/shutdown',
];

/** Names in the order in which they start: of files that keep a processor busy, and of those that mostly wait. */
export function scheduleOf(names) {
  const of = (list) => list.filter((name) => names.includes(name));
  const listed = [...longest, ...waiting];
  const others = names.filter((name) => !listed.includes(name)).sort();
  return { busy: [...of(longest), ...others], idle: of(waiting) };
}
