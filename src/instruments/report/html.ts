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
