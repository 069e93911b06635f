const isAscii = /^[ -~]*$/;

/** Encodes an id as one element of an object path, as sd_bus_path_encode does: `device-id` becomes `device_2did`. */
export function encodePathElement(id: string): string {
  if (id === '') return '_';
  const octets = isAscii.test(id) ? id : Buffer.from(id).toString('latin1');
  return octets.replace(/[^A-Za-z0-9]|^[0-9]/g, (octet) => {
    return `_${octet.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

/** The path of the object of an id below a manager. */
export function childPath(managerPath: string, segment: string, id: string): string {
  return `${managerPath}/${segment}/${encodePathElement(id)}`;
}
