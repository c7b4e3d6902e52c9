/** Wrapped text for a terminal. */

/** Texts and tables are between so many columns wide. */
const MIN_COLUMNS = 60;
const MAX_COLUMNS = 80;

/** How many columns to print: those of the terminal, within these limits; 80 into a pipe or a file. */
export function terminalColumns(): number {
  if (!process.stdout.isTTY) return MAX_COLUMNS;
  return Math.min(MAX_COLUMNS, Math.max(MIN_COLUMNS, process.stdout.columns));
}

/** `label` at the left, `text` beside it from column `indent`, wrapped at words. */
export function beside(label: string, text: string, indent: number, columns = terminalColumns()): string {
  return wrap(text, columns - indent)
    .map((line, index) => (index === 0 ? label : '').padEnd(indent) + line)
    .join('\n');
}

/** Wraps at words into lines of at most `width` characters; a longer word is cut. */
export function wrap(text: string, width: number): readonly string[] {
  const lines = [''];
  for (const word of text.split(' ').flatMap((one) => pieces(one, width))) {
    const line = lines.at(-1) ?? '';
    if (line === '') lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}

const pieces = (word: string, width: number): readonly string[] =>
  word.length <= width ? [word] : (word.match(new RegExp(`.{1,${width}}`, 'gsu')) ?? []);
