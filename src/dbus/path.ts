/** Encodes an id as one element of an object path, as sd_bus_path_encode does: `device-id` becomes `device_2did`. */
export function encodePathElement(id: string): string {
  if (id === '') return '_';
  let encoded = '';
  for (const [at, byte] of Buffer.from(id).entries()) {
    const char = String.fromCharCode(byte);
    const plain = /[A-Za-z]/.test(char) || (at > 0 && /[0-9]/.test(char));
    encoded += plain ? char : `_${byte.toString(16).padStart(2, '0')}`;
  }
  return encoded;
}

/** The path of the object of an id below a manager. */
export function childPath(managerPath: string, segment: string, id: string): string {
  return `${managerPath}/${segment}/${encodePathElement(id)}`;
}
