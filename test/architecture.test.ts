/** The rules of CONTRIBUTING.md: allowed imports between folders, and the symbols that the addon may import from Node. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ACCEPT_STRATEGIES, SERVER_MODELS } from '../src/servers.js';
import { root } from './support/program.js';

function files(folder: string, ending: RegExp): string[] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => ending.test(name)).map((name) => join(folder, name).replaceAll('\\', '/'));
}

const read = (path: string) => readFileSync(join(root, path), 'utf8');

/**
 * The rooms of src/, from the lowest layer to the highest, each with the rooms that it may import: only rooms above it in this list. A room
 * is a folder or a file; the folders of servers/ and instruments/ are rooms of their own.
 */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  'errors.ts': [],
  'validate.ts': ['errors.ts'],
  'addon.ts': [],
  'package-folder.ts': [],
  'recording.ts': ['addon.ts'],
  faults: ['addon.ts', 'errors.ts', 'validate.ts'],
  // A thread or process that loads the addon joins the active traces and fault plans.
  'native.ts': ['addon.ts', 'recording.ts', 'faults'],
  syscalls: ['addon.ts', 'native.ts', 'errors.ts', 'validate.ts'],
  wait: ['addon.ts', 'native.ts', 'errors.ts', 'validate.ts'],
  net: ['addon.ts', 'native.ts', 'errors.ts', 'validate.ts', 'syscalls'],
  selectors: ['native.ts', 'errors.ts', 'validate.ts', 'syscalls', 'wait'],
  // The emulation uses a selector.
  proactors: ['addon.ts', 'native.ts', 'errors.ts', 'validate.ts', 'syscalls', 'wait', 'net', 'selectors'],
  loops: ['addon.ts', 'native.ts', 'errors.ts', 'validate.ts', 'syscalls', 'wait', 'net', 'selectors', 'proactors'],
  // The entry points only export.
  'index.ts': ['loops', 'net', 'proactors', 'selectors', 'syscalls', 'wait'],
  'syscalls.ts': ['native.ts', 'syscalls'],
  // No I/O.
  'servers/applications': [],
  // Uses the entry points, as any program does.
  'servers/protocol': ['index.ts', 'syscalls', 'servers/applications'],
  'servers/worker': [
    ...['index.ts', 'errors.ts', 'validate.ts', 'net', 'syscalls'],
    ...['servers/applications', 'servers/protocol'],
  ],
  'servers/models': [
    ...['index.ts', 'syscalls.ts', 'errors.ts', 'net', 'syscalls'],
    ...['servers/applications', 'servers/protocol', 'servers/worker'],
  ],
  'servers/supervision': ['index.ts', 'net', 'syscalls', 'servers/protocol', 'servers/worker', 'servers/models'],
  servers: [
    ...['index.ts', 'errors.ts', 'validate.ts', 'syscalls'],
    ...['servers/applications', 'servers/protocol', 'servers/models', 'servers/supervision'],
  ],
  'servers.ts': ['servers/applications', 'servers/protocol', 'servers/models', 'servers'],
  trace: ['addon.ts', 'native.ts', 'recording.ts', 'faults', 'errors.ts', 'validate.ts', 'syscalls'],
  // Formats plain data as text.
  'instruments/report': [],
  // Uses the entry points, as any program does; also the clock of traces, and the frames of the applications.
  'instruments/measuring': [
    ...['index.ts', 'native.ts', 'servers.ts', 'errors.ts', 'validate.ts', 'trace'],
    ...['servers/applications', 'servers/models', 'servers/worker'],
  ],
  'instruments/compare': [
    ...['index.ts', 'syscalls.ts', 'servers.ts', 'errors.ts', 'validate.ts', 'trace'],
    ...['servers/applications', 'servers/models', 'instruments/measuring', 'instruments/report'],
  ],
  'trace.ts': ['trace', 'instruments/compare'],
  'instruments/experiments': [
    ...['index.ts', 'syscalls.ts', 'servers.ts', 'trace.ts'],
    ...['servers/applications', 'servers/models', 'instruments/measuring', 'instruments/report'],
  ],
  // Shared by the command-line programs: arguments, Ctrl-C, progress bars, tables, colours.
  terminal: ['syscalls', 'instruments/report'],
  // Uses the entry point, as any program does; also the frames of the applications.
  demos: ['index.ts', 'servers/applications', 'servers/worker'],
  cli: [
    ...['index.ts', 'syscalls.ts', 'servers.ts', 'trace.ts', 'demos', 'syscalls', 'trace', 'terminal'],
    ...['servers/applications', 'servers/models', 'servers/protocol', 'servers/worker', 'servers'],
    ...['instruments/measuring', 'instruments/compare', 'instruments/experiments', 'instruments/report'],
  ],
  // The command line also starts its servers.
  'instruments/bench': [
    ...[
      'index.ts',
      'servers/applications',
      'servers/worker',
      'terminal',
      'instruments/measuring',
      'instruments/report',
    ],
  ],
};

/** src/servers/models/prefork.ts → servers/models; src/loops/reactor.ts → loops; src/errors.ts → errors.ts */
function roomOf(path: string): string {
  const [, first = '', second = ''] = path.split('/');
  return `${first}/${second}` in ROOMS ? `${first}/${second}` : first;
}

function importsOf(path: string): string[] {
  const found = read(path).matchAll(/(?:from|import\() ?'(\.[^']*)\.js'/g);
  return Array.from(found, ([, target]) =>
    relative(root, join(root, dirname(path), `${target}.ts`)).replaceAll('\\', '/'),
  );
}

/** An import cycle as the list of its files; undefined if there is none. */
function findCircle(files: readonly string[]): string[] | undefined {
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]): string[] | undefined => {
    if (way.includes(path)) return [...way.slice(way.indexOf(path)), path];
    if (done.has(path)) return undefined;
    for (const target of importsOf(path)) {
      const circle = visit(target, [...way, path]);
      if (circle !== undefined) return circle;
    }
    done.add(path);
    return undefined;
  };
  for (const path of files) {
    const circle = visit(path, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

describe('TypeScript', () => {
  const sources = files('src', /\.ts$/).filter((path) => !path.endsWith('.d.ts'));

  it.each(sources)('%s imports only what it may', (path) => {
    const allowed = [...(ROOMS[roomOf(path)] ?? []), roomOf(path), 'package-folder.ts'];
    expect(importsOf(path).filter((target) => !allowed.includes(roomOf(target)))).toEqual([]);
  });

  it('no file depends on its own path, because the build moves it into one file', () => {
    const dependent = sources.filter((path) => read(path).includes('__dirname'));
    expect(dependent).toEqual(['src/package-folder.ts']);
  });

  it('rooms import only rooms of lower layers', () => {
    const rooms = Object.keys(ROOMS);
    for (const [room, allowed] of Object.entries(ROOMS))
      for (const other of allowed)
        expect(rooms.indexOf(other), `${room} imports ${other}`).toBeLessThan(rooms.indexOf(room));
  });

  it('no file imports itself by way of others, not even its types', () => {
    expect(findCircle(sources)).toBeUndefined();
  });

  it('no mechanism imports another, neither as a call nor as a selector or a proactor', () => {
    const mechanisms = ['select', 'poll', 'epoll', 'kqueue', 'afd', 'devpoll', 'io-uring', 'iocp', 'emulated'];
    for (const path of sources.filter((one) =>
      /^src\/(selectors|proactors|syscalls)\/(select|poll|epoll|kqueue|afd|devpoll|io-uring|iocp|emulated)\.ts$/.test(
        one,
      ),
    )) {
      const own = /([\w-]+)\.ts$/.exec(path)?.[1];
      // A thread waits for an epoll, a kqueue or a ring with poll(2): they use its constants, too.
      const others = mechanisms.filter(
        (name) => name !== own && !(name === 'poll' && !path.startsWith('src/syscalls')),
      );
      const wrong = importsOf(path).filter((target) => others.some((name) => target.endsWith(`/${name}.ts`)));
      expect(wrong, path).toEqual([]);
    }
  });

  it('applications are sans-I/O: they import one another, and nothing else', () => {
    for (const path of sources.filter((one) => one.startsWith('src/servers/applications/'))) {
      expect(
        importsOf(path).filter((target) => !target.startsWith('src/servers/applications/')),
        path,
      ).toEqual([]);
      expect(read(path), path).not.toMatch(/from 'node:/);
    }
  });

  it('loops know only what all selectors and proactors have in common, and the default', () => {
    for (const path of sources.filter((one) => one.startsWith('src/loops/'))) {
      const mechanisms = importsOf(path).filter((target) => ['selectors', 'proactors'].includes(roomOf(target)));
      for (const target of mechanisms)
        expect(target, path).toMatch(/\/(base|key|watch-set|loop-wait|operation|streams|default)\.ts$/);
    }
  });

  it('only native.ts loads the addon', () => {
    expect(sources.filter((path) => read(path).includes("'node-gyp-build'"))).toEqual(['src/native.ts']);
  });

  it('the contract cases import no test runner', () => {
    for (const path of files('test/contract', /\.ts$/)) expect(read(path), path).not.toMatch(/from 'vitest'/);
  });
});

describe('README.md and docs/', () => {
  it('have the tables of the models and experiments, and the programs of examples/', () => {
    const { stderr, status } = spawnSync(process.execPath, ['scripts/write-tables.mjs', '--check'], {
      cwd: root,
      encoding: 'utf8',
    });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  });

  it('servers.md names each model and each accept strategy', () => {
    const text = read('docs/servers.md');
    for (const { name } of [...SERVER_MODELS, ...ACCEPT_STRATEGIES]) expect(text).toContain(name);
  });

  it('CONTRIBUTING.md draws every room of src/', () => {
    const picture = /## Layers[^]*?```\n([^]*?)```/.exec(read('CONTRIBUTING.md'))?.[1] ?? '';
    for (const room of Object.keys(ROOMS)) expect(picture).toContain(room);
  });

  const documents = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...files('docs', /^[^/]+\.md$/)];

  /** The anchors of a document's headings, as GitHub generates them. */
  const anchorsOf = (path: string) =>
    Array.from(read(path).matchAll(/^#+ (.+)$/gm), ([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    );

  it.each(documents)('the links of %s lead somewhere', (document) => {
    for (const [, path = '', anchor] of read(document).matchAll(/\]\(([^)#]*)(?:#([^)]*))?\)/g)) {
      if (path.startsWith('https:')) continue;
      const target = path === '' ? document : join(dirname(document), path);
      expect(existsSync(join(root, target)), target).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(target), target).toContain(anchor);
    }
  });
});

describe('behaviours', () => {
  it('each number is in a test’s name, or in the list of untested ones in docs/semantics.md', () => {
    const all = [
      ...Array.from({ length: 122 }, (_, i) => `S${i + 1}`),
      ...Array.from({ length: 12 }, (_, i) => `W${i + 1}`),
      ...Array.from({ length: 33 }, (_, i) => `R${i + 1}`),
      ...Array.from({ length: 34 }, (_, i) => `U${i + 1}`),
      ...Array.from({ length: 34 }, (_, i) => `I${i + 1}`),
    ];
    const names = files('test', /\.ts$/)
      .filter((path) => !path.startsWith('test/long/')) // each of them is in `npm test`, too
      .flatMap((path) => read(path).split('\n'))
      .filter((line) => /(name: |\bit|\)\(|^)\s*\(?['`]/.test(line));
    const untested = read('docs/semantics.md').split('## Not tested here')[1] ?? '';
    const said = new Set([...names, ...untested.split('\n')].flatMap((line) => line.match(/\b[SWRUI]\d+\b/g) ?? []));
    expect(all.filter((number) => !said.has(number))).toEqual([]);
  });
});

describe('C++', () => {
  const sources = files('native', /\.(cc|h)$/);

  it('tests for the operating system in native/platform/ alone', () => {
    const asking = sources.filter((path) => /^\s*#\s*(if|ifdef|ifndef|elif)\b/m.test(read(path)));
    expect(asking.filter((path) => !path.startsWith('native/platform/'))).toEqual([]);
  });

  it('mechanisms, net, shared, trace, turn and wait do not include one another', () => {
    for (const path of sources) {
      const includes = Array.from(read(path).matchAll(/#include "([^"/]+)\//g), ([, room]) => room as string);
      const room = roomOf(path);
      const allowed: Readonly<Record<string, readonly string[]>> = {
        core: ['core', 'platform'],
        platform: ['core', 'platform'],
        'addon.cc': ['core', 'mechanisms', 'net', 'shared', 'trace', 'turn', 'wait', 'platform'],
      };
      const may = allowed[room] ?? ['core', 'platform', room];
      expect(
        includes.filter((one) => !may.includes(one)),
        path,
      ).toEqual([]);
    }
  });

  it('every source file is in the list that both builds read', () => {
    const list = JSON.parse(read('native/sources.gypi')) as { variables: Record<string, string[]> };
    expect(Object.values(list.variables).flat().sort()).toEqual(sources.filter((path) => path.endsWith('.cc')).sort());
  });
});

/** The undefined dynamic symbols of an ELF file (elf(5)). */
function importedSymbols(path: string): string[] {
  const elf = readFileSync(path);
  const at = (offset: number) => Number(elf.readBigUInt64LE(offset));
  const sections = Array.from({ length: elf.readUInt16LE(60) }, (_, i) => at(40) + i * elf.readUInt16LE(58));
  const SHT_DYNSYM = 11;
  const table = sections.find((header) => elf.readUInt32LE(header + 4) === SHT_DYNSYM);
  if (table === undefined) throw new Error('no dynamic symbols');
  const strings = at((sections[elf.readUInt32LE(table + 40)] as number) + 24);
  const names: string[] = [];
  for (let entry = at(table + 24); entry < at(table + 24) + at(table + 32); entry += 24) {
    const isUndefined = elf.readUInt16LE(entry + 6) === 0;
    const start = strings + elf.readUInt32LE(entry);
    if (isUndefined) names.push(elf.toString('latin1', start, elf.indexOf(0, start)));
  }
  return names;
}

describe('the addon', () => {
  const isElf = process.platform === 'linux';
  it.skipIf(!isElf)(`imports only Node-API from Node: no uv_*, no V8${isElf ? '' : ' — not here: no ELF file'}`, () => {
    const symbols = importedSymbols(join(root, 'build/Release/selectors_native.node'));
    expect(symbols.filter((name) => name.startsWith('napi_')).length).toBeGreaterThan(20);
    expect(symbols.filter((name) => name.startsWith('uv_') || /v8|N4node/.test(name))).toEqual([]);
    expect(symbols).toEqual(expect.arrayContaining(['epoll_wait', 'poll', 'select', 'recv']));
  });
});
