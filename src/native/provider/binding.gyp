{
  'variables': {
    'asan%': 0,
    'deadline_ms%': 30000,
    'provider_sources': [
      'decoder.c',
      'key-file.c',
      'key.c',
      'keys-client.c',
      'mechanism.c',
      'provider.c',
      'signature-params.c',
      'signature-verify.c',
      'signature.c',
      'store.c',
    ],
  },
  'target_defaults': {
    'defines': [
      '_GNU_SOURCE',
      'OPENSSL_API_COMPAT=30000',
      'OPENSSL_NO_DEPRECATED',
      'KEYS_DEADLINE_MS=<(deadline_ms)',
    ],
    'cflags': [
      '-std=c17', '-O2', '-g', '-ffile-prefix-map=<(module_root_dir)=.', '-Wall', '-Wextra', '-Werror', '-Wvla', '-Wformat=2', '-Wstrict-prototypes',
      '-fvisibility=hidden', '-fstack-protector-strong', '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2',
    ],
    'ldflags': ['-Wl,-z,relro,-z,now,-z,nodelete,-z,noexecstack'],
    'libraries': ['-lsystemd'],
    'conditions': [
      ['asan==1', {
        'cflags': ['-U_FORTIFY_SOURCE', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'],
        'ldflags': ['-fsanitize=address,undefined'],
      }],
    ],
  },
  'targets': [
    {
      'target_name': 'iotedge_keys_provider',
      'sources': ['addon.c', '<@(provider_sources)'],
    },
    {
      # the same provider for every other program
      'target_name': 'iotedge-keys',
      'type': 'shared_library',
      'product_prefix': '',
      'sources': ['<@(provider_sources)'],
      # by its full name: without libssl-dev there is no other, and the host's own libcrypto satisfies it
      'libraries': ['-l:libcrypto.so.3'],
    },
  ],
}
