// node scripts/libkqueue.cjs --cflags | --libs: prints the compiler or linker flags of libkqueue, for binding.gyp and CMakeLists.txt.
// Searches $LIBKQUEUE (an install prefix) if it is set, else asks pkg-config. Prints nothing if libkqueue is not found, if LIBKQUEUE is
// empty, and on other systems than Linux: macOS has kqueue in its kernel, and Windows has none.
'use strict';
const { existsSync } = require('node:fs');
const { join } = require('node:path');
const { execFileSync } = require('node:child_process');

function find() {
  if (process.platform !== 'linux' || process.env.LIBKQUEUE === '') return null;
  const prefix = process.env.LIBKQUEUE;
  if (prefix !== undefined) {
    if (!existsSync(join(prefix, 'include/kqueue/sys/event.h'))) {
      throw new Error(`LIBKQUEUE=${prefix}: it has no include/kqueue/sys/event.h`);
    }
    const archive = join(prefix, 'lib/libkqueue.a');
    return {
      cflags: `-I${join(prefix, 'include/kqueue')}`,
      libs: existsSync(archive) ? `${archive} -lpthread -lrt` : `-L${join(prefix, 'lib')} -lkqueue`,
    };
  }
  try {
    const pkgConfig = (option) =>
      execFileSync('pkg-config', [option, 'libkqueue'], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim();
    return { cflags: pkgConfig('--cflags'), libs: pkgConfig('--libs') };
  } catch {
    return null; // pkg-config or libkqueue is not installed: the usual case
  }
}

const found = find();
if (found !== null) process.stdout.write(process.argv[2] === '--libs' ? found.libs : found.cflags);
