/** The socket path of the first unix address of a list (D-Bus specification, Server Addresses). */
export function socketPath(addresses: string): string {
  for (const address of addresses.split(';')) {
    if (!address.startsWith('unix:')) continue;
    const options = new Map<string, string>();
    for (const option of address.slice('unix:'.length).split(',')) {
      const [key = '', value = ''] = option.split('=', 2);
      options.set(key, decodeURIComponent(value));
    }
    const path = options.get('path');
    if (path !== undefined) return path;
    const abstract = options.get('abstract');
    if (abstract !== undefined) return `\0${abstract}`;
  }
  throw new TypeError(
    `no unix:path= or unix:abstract= in the bus address ${JSON.stringify(addresses)}`,
  );
}
