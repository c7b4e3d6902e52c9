/** Text for a terminal of 80 columns. */

const COLUMNS = 80;

/** `label` at the left, `text` beside it, wrapped at words. */
export function beside(label: string, text: string, indent: number): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line === '') lines[lines.length - 1] = word;
    else if (indent + line.length + 1 + word.length <= COLUMNS) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines.map((line, index) => (index === 0 ? label : '').padEnd(indent) + line).join('\n');
}
