// node scripts/write-tables.mjs: regenerates the tables and the programs in README.md and docs/. The tables come from the data of the server
// models (src/servers/) and of the experiments (src/instruments/experiments/), the programs from examples/; test/examples.test.ts runs those.
// --check: writes nothing; exit code 1 if a document is out of date (test/architecture.test.ts runs this).
//
// A document has `<!-- NAME: scripts/write-tables.mjs -->` … `<!-- end -->`. NAME is a table below, an interface of options in src/,
// `examples/FILE`, or `examples/FILE#REGION`: the lines of that file between `// #region REGION` and `// #endregion`.
//
// The tables are the same on every system. `selectors-native models` and `experiment` print what the running system supports.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import ts from 'typescript';
import { root } from './stamp.mjs';

const require = createRequire(import.meta.url);
const { ACCEPT_STRATEGIES } = require(join(root, 'dist/servers.js'));
const { models } = require(join(root, 'dist/servers/models/index.js'));
const { availableMechanisms } = require(join(root, 'dist/index.js'));
const { newProgram } = require(join(root, 'dist/cli/program.js'));
const { experiments } = require(join(root, 'dist/instruments/experiments/index.js'));

const kinds = new Map(availableMechanisms().map(({ mechanism, kind }) => [mechanism, kind]));

/** 'a selector' or 'a proactor', by the kind of the model's first mechanism; '': the model has none. */
function waitsWith({ mechanisms: [first] }) {
  if (first === undefined) return '';
  return kinds.get(first) === 'readiness' ? 'a selector' : 'a proactor';
}

const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** A cell of a table: one line, in which `|` is no border. */
const cell = (text) => text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|').trim();

/** 'How many. Default: 50. Or more.' → ['How many. Or more.', '50'] */
function splitDefault(text) {
  const found = /\bDefault: ([^]*?)(?:\.(?=\s|$)|$)/.exec(text);
  return found === null ? [text, ''] : [text.replace(found[0], ''), found[1]];
}

/** The properties of an exported interface in src/, each with its type, its default, and its docstring. */
function optionsOf(name) {
  const path = readdirSync(join(root, 'src'), { recursive: true })
    .map((file) => join('src', file))
    .find((file) => file.endsWith('.ts') && new RegExp(`export interface ${name}\\b`).test(read(file)));
  if (path === undefined) throw new Error(`no interface ${name} in src/`);
  const source = ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true);
  const { members } = source.statements.find((one) => ts.isInterfaceDeclaration(one) && one.name.text === name);
  return members.filter(ts.isPropertySignature).map((member) => {
    const [comment] = ts.getJSDocCommentsAndTags(member);
    const [text, value] = splitDefault(ts.getTextOfJSDocComment(comment?.comment) ?? '');
    return [`\`${member.name.getText()}\``, `\`${member.type.getText()}\``, value, text].map(cell);
  });
}

/** The options of each command of `selectors-native`. */
function commands() {
  return newProgram().commands.flatMap((command) =>
    command.options.map(({ flags, description, defaultValue, argChoices }) => {
      const [, text, inText] = /^(.*?)(?: \(default: (.*)\))?$/.exec(description);
      const ofSystem = flags.startsWith('--user') ? "the user's name" : inText; // elsewhere defaults are the same on every machine
      const value = ofSystem ?? (defaultValue === undefined ? '' : `\`${defaultValue}\``);
      const choices = argChoices === undefined ? '' : `: ${argChoices.map((one) => `\`${one}\``).join(', ')}`;
      return [`\`${command.name()}\``, `\`${flags}\``, value, `${text}${choices}`].map(cell);
    }),
  );
}

const tables = {
  commands: () => table(['command', 'option', 'default', 'what it is'], commands()),
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
        source.replaceAll(/post (\d{3})/g, '[post $1](posts.md#post-$1)'),
      ]),
    ),
  program: () => {
    const source = read('src/servers/models/thread-pool.ts');
    return codeBlock('ts', source.slice(source.indexOf('  main(server)'), source.lastIndexOf('};')));
  },
};

const read = (path) => readFileSync(join(root, path), 'utf8').replaceAll('\r\n', '\n');
const codeBlock = (language, source) => `\`\`\`${language}\n${source}\`\`\``;

/** The content of a document's section of this name. */
function contentOf(name) {
  if (name in tables) return tables[name]();
  if (name.startsWith('examples/')) return example(name);
  return table(['option', 'type', 'default', 'what it is'], optionsOf(name));
}

/** A file of examples/, or a region of it, as a Markdown code block. */
function example(name) {
  const [path, region] = name.split('#');
  const source = read(path);
  const language = path.endsWith('.mts') ? 'ts' : 'js';
  if (region === undefined) return codeBlock(language, source);
  const found = source.split(`// #region ${region}\n`)[1]?.split('// #endregion\n');
  if (found?.length !== 2) throw new Error(`${path} has no '// #region ${region}' with its '// #endregion'`);
  return codeBlock(language, found[0]);
}

const docs = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
for (const document of ['README.md', 'CONTRIBUTING.md', ...docs.map((name) => `docs/${name}`)]) {
  const before = read(document);
  const after = before.replace(
    /(<!-- ([\w./#-]+): scripts\/write-tables\.mjs -->\n)[^]*?(<!-- end -->)/g,
    (_, begin, name, end) => `${begin}\n${contentOf(name)}\n\n${end}`,
  );
  if (!process.argv.includes('--check')) {
    writeFileSync(join(root, document), after);
  } else if (after !== before) {
    console.error(`${document} is out of date: run node scripts/write-tables.mjs`);
    process.exitCode = 1;
  }
}
