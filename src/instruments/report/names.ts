/** Names of rows. */
import { shorten } from './format.js';
import { type Html, html } from './html.js';

const MAX_NAME = 80;

/** A name that may wrap after a separator: 'proactor:emulated:epoll'. */
export function breakable(name: string): Html {
  const parts = name.split(/(?<=[:/_.-])/);
  return html`${parts.map((part, i) => (i === 0 ? html`${part}` : html`<wbr />${part}`))}`;
}

/** The name of a row of a chart: very long ones are cut. */
export const rowName = (name: string): Html => breakable(shorten(name, MAX_NAME));
