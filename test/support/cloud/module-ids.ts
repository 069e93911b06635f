/** What a hub takes as the id of a device or module: at most 128 of these, letters and digits of ASCII. */
const pattern = /^[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}$/;
/** The only ids that begin with a dollar; the hub makes them. */
const reserved = ['$edgeAgent', '$edgeHub'];

/** Whether a hub takes this as the id of a module. */
export function isModuleId(id: string): boolean {
  return pattern.test(id) && (!id.startsWith('$') || reserved.includes(id));
}

/** Whether a hub takes this as the id of a device. */
export function isDeviceId(id: string): boolean {
  return pattern.test(id);
}

/** The modules that a hub makes with an Edge device. */
export const edgeModules: readonly string[] = reserved;
