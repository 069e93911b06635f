import { run } from '../steps/command.mjs';

/** Debian's packages of the libraries that our programs are linked with. */
const packages = {
  'libc.so.6': 'libc6',
  'libm.so.6': 'libc6',
  'libdl.so.2': 'libc6',
  'libpthread.so.0': 'libc6',
  'libstdc++.so.6': 'libstdc++6',
  'libgcc_s.so.1': 'libgcc-s1',
  'libsystemd.so.0': 'libsystemd0',
};

/** The dynamic linker comes with libc; who loads the OpenSSL module has OpenSSL. */
const given = /^(ld-linux.*|libcrypto\.so\.3)$/;

function newest(versions) {
  const parts = (version) => version.split('.').map(Number);
  const [highest] = versions.toSorted((one, other) => {
    const [[a, b], [c, d]] = [parts(one), parts(other)];
    return c - a || d - b;
  });
  return highest;
}

/** The packages, as in `Depends`, that programs and libraries of any architecture are linked with. */
export async function libraries(files) {
  const { stdout } = await run('readelf', ['--wide', '--dynamic', '--version-info', ...files]);
  const needed = [...stdout.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(([, name]) => name);
  const glibc = newest([...stdout.matchAll(/\bName: GLIBC_(\d+\.\d+)/g)].map(([, v]) => v));
  const names = [...new Set(needed)]
    .filter((name) => !given.test(name))
    .map((name) => {
      if (!(name in packages)) throw new Error(`no package is known for ${name}`);
      return packages[name];
    });
  const versioned = names.map((name) => (name === 'libc6' ? `libc6 (>= ${glibc})` : name));
  return [...new Set(versioned)].join(', ');
}
