// The systems for which the package has a binary: one row per file in prebuilds/. node-gyp-build picks the file by the folder's name
// (platform and architecture) and the parts of the file's name (ARM version, C library).
//
// Linux with glibc: 2.17 (2012) and later; the C++ library is linked in. (Node.js's own binaries need 2.28, distributions' may not.) Linux with musl: any
// version. macOS: 13 and later. Windows: 10 and later.
import { buildAddon, zigCompiler } from './cross.mjs';

const zig = (target, cpu = '') => [
  '--CDCMAKE_TOOLCHAIN_FILE=cmake/zig.cmake',
  `--CDZIG=${zigCompiler()}`,
  `--CDZIG_TARGET=${target}`,
  ...(cpu === '' ? [] : [`--CDZIG_CPU=${cpu}`]),
];
const mingw = () => ['--CDCMAKE_TOOLCHAIN_FILE=cmake/mingw-w64.cmake'];

/** The file in prebuilds/ of the program textbook (native/textbook/), with the tags of the addon's file. null: not for Windows. */
export const textbookFile = ({ file, format }) =>
  format === 'pe' ? null : file.replace('selectors-native', 'textbook').replace(/\.node$/, '');

/** Name → file in prebuilds/, object format, and the options for buildAddon(). */
export const TARGETS = {
  'linux-x64-glibc': {
    file: 'linux-x64/selectors-native.glibc.node',
    format: 'elf',
    options: () => zig('x86_64-linux-gnu.2.17'),
  },
  'linux-x64-musl': {
    file: 'linux-x64/selectors-native.musl.node',
    format: 'elf',
    options: () => zig('x86_64-linux-musl'),
  },
  'linux-arm64-glibc': {
    file: 'linux-arm64/selectors-native.glibc.node',
    format: 'elf',
    options: () => zig('aarch64-linux-gnu.2.17'),
  },
  'linux-arm64-musl': {
    file: 'linux-arm64/selectors-native.musl.node',
    format: 'elf',
    options: () => zig('aarch64-linux-musl'),
  },
  'linux-armv7-glibc': {
    file: 'linux-arm/selectors-native.armv7.glibc.node',
    format: 'elf',
    options: () => zig('arm-linux-gnueabihf.2.17', 'generic+v7a+vfp3d16'),
  },
  'darwin-arm64': {
    file: 'darwin-arm64/selectors-native.node',
    format: 'mach-o',
    options: () => zig('aarch64-macos.13.0'),
  },
  'darwin-x64': {
    file: 'darwin-x64/selectors-native.node',
    format: 'mach-o',
    options: () => zig('x86_64-macos.13.0'),
  },
  'win32-x64': {
    file: 'win32-x64/selectors-native.node',
    format: 'pe',
    options: mingw,
  },
  'win32-arm64': {
    file: 'win32-arm64/selectors-native.node',
    format: 'pe',
    options: () => zig('aarch64-windows-gnu'),
  },
};

/** Builds the addon for a target in .cross/NAME and returns that folder. */
export const buildTarget = (name) => buildAddon(name, ...TARGETS[name].options());
