{
  'targets': [
    {
      'target_name': 'iotedge_linux',
      'sources': ['linux.c'],
      'defines': ['_GNU_SOURCE'],
      'cflags': [
        '-std=c17', '-O2', '-g', '-ffile-prefix-map=<(module_root_dir)=.', '-Wall', '-Wextra', '-Werror', '-Wvla', '-Wformat=2', '-Wstrict-prototypes',
        '-fvisibility=hidden', '-fstack-protector-strong', '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2',
      ],
      'ldflags': ['-Wl,-z,relro,-z,now,-z,nodelete,-z,noexecstack'],
    },
  ],
}
