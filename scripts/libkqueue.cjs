// Where libkqueue is, for binding.gyp and CMakeLists.txt: `node scripts/libkqueue.cjs --cflags | --libs`.
// Prints nothing where it is not wanted or not found. It is looked for in $LIBKQUEUE (an install prefix), then by
// pkg-config. On macOS the kernel has kqueue itself; on Windows there is none.
'use strict';
const { existsSync } = require('node:fs');
const { join } = require('node:path');
const { execFileSync } = require('node:child_process');

function find() {
  if (process.platform !== 'linux' || process.env.LIBKQUEUE === '') return null;
  const prefix = process.env.LIBKQUEUE;
  if (prefix !== undefined) {
    if (!existsSync(join(prefix, 'include/kqueue/sys/event.h'))) {
      throw new Error(`LIBKQUEUE=${prefix}: there is no include/kqueue/sys/event.h below it`);
    }
    const archive = join(prefix, 'lib/libkqueue.a');
    return {
      cflags: `-I${join(prefix, 'include/kqueue')}`,
      libs: existsSync(archive) ? `${archive} -lpthread -lrt` : `-L${join(prefix, 'lib')} -lkqueue`,
    };
  }
  try {
    const ask = (option) =>
      execFileSync('pkg-config', [option, 'libkqueue'], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim();
    return { cflags: ask('--cflags'), libs: ask('--libs') };
  } catch {
    return null; // no pkg-config, or no libkqueue: the usual case
  }
}

const found = find();
if (found !== null) process.stdout.write(process.argv[2] === '--libs' ? found.libs : found.cflags);
