const pattern = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?$/;

/** Whether a text is `host[:port]`, the host by its name or IPv4 address. */
export function isHostAndPort(text: string): boolean {
  // a URL cannot have every port or number that the pattern allows
  return pattern.test(text) && URL.canParse(`https://${text}`) && !/:0+$/.test(text);
}
