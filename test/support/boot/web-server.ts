/** nginx of this machine in a booted system, as Debian packages it, with a published certificate. */
import { copyFile, mkdir } from 'node:fs/promises';
import { until } from '../deadline.ts';
import type { BootedSystem } from './booted-system.ts';

/** Without the files of the package that are not needed; each reload is noted. */
const dropIn = (reloads: string) => `[Service]
Environment=OPENSSL_CONF=/usr/lib/iotedge/lib/openssl.cnf
ExecReload=/bin/sh -c 'echo reload >>${reloads}'
`;

const configuration = (files: string) => `user root;
worker_processes 1;
pid /run/nginx.pid;
events {}
http {
  access_log off;
  server {
    listen 127.0.0.1:443 ssl;
    ssl_certificate ${files}/fullchain.pem;
    ssl_certificate_key ${files}/key.pem;
  }
}
`;

/** A web server of a system, which is started at each boot. */
export class WebServer {
  static readonly unit = 'nginx.service';
  readonly #system: BootedSystem;
  readonly #name: string;
  readonly #files: string;
  readonly #reloads = '/var/lib/nginx/reloads';

  private constructor(system: BootedSystem, name: string, files: string) {
    this.#system = system;
    this.#name = name;
    this.#files = files;
  }

  /** Starts it with the files of a published certificate for a name. */
  static async start(system: BootedSystem, name: string, files: string): Promise<WebServer> {
    const server = new WebServer(system, name, files);
    const { unit } = WebServer;
    for (const directory of ['/etc/nginx', '/var/lib/nginx', '/var/log/nginx'])
      await mkdir(system.path(directory), { recursive: true });
    await copyFile('/usr/sbin/nginx', system.path('/usr/sbin/nginx'));
    await copyFile(`/lib/systemd/system/${unit}`, system.path(`/etc/systemd/system/${unit}`));
    await system.write('/etc/nginx/nginx.conf', configuration(files));
    await system.write(`/etc/systemd/system/${unit}.d/test.conf`, dropIn(server.#reloads));
    await system.output(`systemctl daemon-reload && systemctl enable --now ${unit}`);
    return server;
  }

  /** The serial number of the certificate of a handshake, which the certificate published now must verify. */
  async serial(): Promise<string> {
    const options = `-servername ${this.#name} -verify_hostname ${this.#name} -verify_return_error`;
    const client = `openssl s_client -connect 127.0.0.1:443 ${options} -CAfile ${this.#files}/bundle.pem`;
    return this.#system.output(`${client} </dev/null 2>&1 | openssl x509 -noout -serial`);
  }

  /** The serial number of the certificate that is published. */
  published(): Promise<string> {
    return this.#system.output(`openssl x509 -noout -serial -in ${this.#files}/fullchain.pem`);
  }

  /** Waits until handshakes have the certificate that is published. */
  async untilPublished(): Promise<void> {
    const what = 'the web server to have the published certificate';
    await until(20_000, what, async () => (await this.serial()) === (await this.published()));
  }

  /** How often it was reloaded since the last call. */
  async reloads(): Promise<number> {
    const script = `cat ${this.#reloads} 2>/dev/null | wc -l; rm -f ${this.#reloads}`;
    return Number(await this.#system.output(script));
  }
}
