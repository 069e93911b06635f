/** The ids of devices and modules that a hub accepts: at most 128 ASCII letters, digits and these characters. */
const pattern = /^[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}$/;
/** The only ids that begin with a dollar; the hub creates these modules. */
const reserved = ['$edgeAgent', '$edgeHub'];

/** Whether a hub accepts this as the id of a module. */
export function isModuleId(id: string): boolean {
  return pattern.test(id) && (!id.startsWith('$') || reserved.includes(id));
}

/** Whether a hub accepts this as the id of a device. */
export function isDeviceId(id: string): boolean {
  return pattern.test(id);
}

/** The modules that a hub creates with an Edge device. */
export const edgeModules: readonly string[] = reserved;
