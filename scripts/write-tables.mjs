// node scripts/write-tables.mjs: writes the tables and the programs of README.md and docs/ anew: the tables from the data of the server models
// in src/servers/ and of the experiments in src/instruments/experiments/, the programs from examples/, each of which test/examples.test.ts runs.
// With --check it writes nothing, and its exit code is 1 where they are out of date (test/architecture.test.ts).
//
// A document has `<!-- NAME: scripts/write-tables.mjs -->` … `<!-- end -->`, with the name of a table below, `examples/FILE`, or
// `examples/FILE#REGION`: the lines of that file between `// #region REGION` and `// #endregion`.
//
// The tables are the same on every system: what this one has is what `selectors-native models` and `experiment` tell.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { root } from './stamp.mjs';

const require = createRequire(import.meta.url);
const { ACCEPT_STRATEGIES } = require(join(root, 'dist/servers.js'));
const { models } = require(join(root, 'dist/servers/models/index.js'));
const { availableMechanisms } = require(join(root, 'dist/index.js'));
const { experiments } = require(join(root, 'dist/instruments/experiments/index.js'));

const kinds = new Map(availableMechanisms().map(({ mechanism, kind }) => [mechanism, kind]));

/** What it waits with. */
function waitsWith({ mechanisms: [first] }) {
  if (first === undefined) return '';
  return kinds.get(first) === 'readiness' ? 'a selector' : 'a proactor';
}

const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const tables = {
  models: () =>
    table(
      ['model', 'what it is', 'for it', 'against it'],
      Object.values(models).map(({ name, summary, strengths, weaknesses }) => [
        `[${name}](../src/servers/models/${name}.ts)`,
        ...[summary, strengths, weaknesses],
      ]),
    ),
  options: () =>
    table(
      ['model', 'serves', 'workers', 'waits with', 'options'],
      Object.values(models).map((model) => [
        ...[model.name, model.applications.join(', '), model.workers ?? '', waitsWith(model)],
        model.options.map((name) => (name === 'maxConnections' ? `${name} (${model[name]})` : name)).join(', '),
      ]),
    ),
  strategies: () =>
    table(
      ['`--accept`', 'how'],
      ACCEPT_STRATEGIES.map(({ name, summary }) => [name, summary]),
    ),
  experiments: () =>
    table(
      ['experiment', 'the claim', 'where'],
      experiments.map(({ name, claim, source }) => [
        `[${name}](../src/instruments/experiments/${name}.ts)`,
        claim,
        source,
      ]),
    ),
  program: () => {
    const source = read('src/servers/models/thread-pool.ts');
    return programOf('ts', source.slice(source.indexOf('  main(server)'), source.lastIndexOf('};')));
  },
};

const read = (path) => readFileSync(join(root, path), 'utf8').replaceAll('\r\n', '\n');
const programOf = (language, source) => `\`\`\`${language}\n${source}\`\`\``;

/** A program of examples/, or a region of it. */
function example(name) {
  const [path, region] = name.split('#');
  const source = read(path);
  const language = path.endsWith('.mts') ? 'ts' : 'js';
  if (region === undefined) return programOf(language, source);
  const found = source.split(`// #region ${region}\n`)[1]?.split('// #endregion\n');
  if (found?.length !== 2) throw new Error(`${path} has no region ${region} from its #region to an #endregion`);
  return programOf(language, found[0]);
}

for (const document of ['README.md', 'docs/servers.md', 'docs/trace.md', 'docs/semantics.md']) {
  const before = read(document);
  const after = before.replace(
    /(<!-- ([\w./#-]+): scripts\/write-tables\.mjs -->\n)[^]*?(<!-- end -->)/g,
    (_, begin, name, end) => `${begin}\n${name in tables ? tables[name]() : example(name)}\n\n${end}`,
  );
  if (!process.argv.includes('--check')) {
    writeFileSync(join(root, document), after);
  } else if (after !== before) {
    console.error(`${document} is out of date: node scripts/write-tables.mjs writes it anew`);
    process.exitCode = 1;
  }
}
