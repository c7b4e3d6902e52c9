/** HTML from text: whatever is put into a template is escaped, unless it is HTML already. */

export class Html {
  readonly text: string;

  /** @param text taken as it is: only what this package itself has written */
  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

export type HtmlPart = string | number | Html | readonly Html[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** For text and for quoted attributes. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');

/** html`<p>${text}</p>` */
export function html(strings: TemplateStringsArray, ...parts: readonly HtmlPart[]): Html {
  return new Html(strings.map((text, i) => (i === 0 ? text : textOf(parts[i - 1] ?? '') + text)).join(''));
}

function textOf(part: HtmlPart): string {
  if (part instanceof Html) return part.text;
  return typeof part === 'object' ? part.map((one) => one.text).join('') : escapeHtml(String(part));
}

export const NOTHING = new Html('');

/**
 * Data for a `<script type="application/json">`. In there nothing is unescaped but the end of the element is looked for (`</script`, and
 * `<!--` changes what counts as its end), so no `<` may stand in it. JSON has another way of writing it.
 */
export const scriptJson = (value: unknown): Html => new Html(JSON.stringify(value).replace(/</g, '\\u003c'));

/** A program for a `<script>`: `<\/` and `<\!` mean the same as `</` and `<!` in its strings and regular expressions. */
export const scriptText = (program: string): Html =>
  new Html(
    program
      .replace(/\r\n?/g, '\n') // as the parser does, before the hash of the Content-Security-Policy is compared
      .replace(/<(?=\/script|!--)/gi, '<\\'),
  );

/** With not one character more than what the Content-Security-Policy has the hash of: a template is formatted, and that adds some. */
export const scriptElement = ({ text }: Html): Html => new Html(`<script>${text}</script>`);
