/** Templates of HTML that escape each part, unless it is HTML already. */

/** Text that is HTML. */
export class Html {
  readonly text: string;

  /** @param text inserted without escaping: only text that this package itself has written */
  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

/** A part of a template: strings and numbers are escaped. */
export type HtmlPart = string | number | Html | readonly Html[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Escapes text for elements and quoted attributes. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');

/** Template tag: html`<p>${text}</p>` */
export function html(strings: TemplateStringsArray, ...parts: readonly HtmlPart[]): Html {
  return new Html(strings.map((text, i) => (i === 0 ? text : textOf(parts[i - 1] ?? '') + text)).join(''));
}

function textOf(part: HtmlPart): string {
  if (part instanceof Html) return part.text;
  return typeof part === 'object' ? part.map((one) => one.text).join('') : escapeHtml(String(part));
}

/** Empty HTML. */
export const NOTHING = new Html('');

/**
 * Data for a `<script type="application/json">`. Its text is not unescaped, but the parser looks for the end of the element (`</script`, and
 * `<!--` changes what counts as its end). Therefore each `<` is written as a JSON escape.
 */
export const scriptJson = (value: unknown): Html => new Html(JSON.stringify(value).replace(/</g, '\\u003c'));

/** A program for a `<script>`: `<\/` and `<\!` mean the same as `</` and `<!` in its strings and regular expressions. */
export const scriptText = (program: string): Html =>
  new Html(
    program
      .replace(/\r\n?/g, '\n') // the parser does this before it compares the hash of the Content-Security-Policy
      .replace(/<(?=\/script|!--)/gi, '<\\'),
  );

/** Adds no character to the text whose hash is in the Content-Security-Policy: a formatted template would add spaces. */
export const scriptElement = ({ text }: Html): Html => new Html(`<script>${text}</script>`);
