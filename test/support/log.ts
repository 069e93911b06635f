/** A log that writes nothing. */
export const silentLog = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };
