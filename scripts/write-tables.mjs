// node scripts/write-tables.mjs: writes the tables of docs/servers.md and docs/trace.md anew, from the data of the server models in
// src/servers/ and of the experiments in src/experiments/, and the program that is shown there.
// With --check it writes nothing, and its exit code is 1 where they are out of date (test/architecture.test.ts).
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
const { experiments } = require(join(root, 'dist/experiments/index.js'));

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
      experiments.map(({ name, claim, source }) => [`[${name}](../src/experiments/${name}.ts)`, claim, source]),
    ),
  program: () => {
    const source = readFileSync(join(root, 'src/servers/models/thread-pool.ts'), 'utf8');
    return `\`\`\`ts\n${source.slice(source.indexOf('  main(server)'), source.lastIndexOf('};'))}\`\`\``;
  },
};

for (const document of ['docs/servers.md', 'docs/trace.md']) {
  const path = join(root, document);
  const before = readFileSync(path, 'utf8');
  const after = before.replace(
    /(<!-- (\w+): scripts\/write-tables\.mjs -->\n)[^]*?(<!-- end -->)/g,
    (_, begin, name, end) => `${begin}\n${tables[name]()}\n\n${end}`,
  );
  if (!process.argv.includes('--check')) {
    writeFileSync(path, after);
  } else if (after !== before) {
    console.error(`${document} is out of date: node scripts/write-tables.mjs writes it anew`);
    process.exitCode = 1;
  }
}
