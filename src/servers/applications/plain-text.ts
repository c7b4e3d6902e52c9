/**
 * Untrusted text, made safe for a terminal. A terminal obeys escape sequences, which move the cursor into other lines; a bidirectional
 * override reorders text (CVE-2021-42574); invisible characters make two names look alike.
 */

/** White space, tabs and line ends, which become one blank. The C1 control U+0085 is a line end (NEL). */
const BLANKS = /[\t\n\v\f\r\u0085\u2028\u2029]+/gu;
/** C0, DEL, C1; and lone surrogates, which UTF-8 cannot encode. */
const CONTROLS = /[\p{Cc}\p{Cs}]/gu;
/**
 * Bidirectional controls (U+061C, 200E, 200F, 202A to 202E, 2066 to 2069), zero-width characters, and tags. U+200C and U+200D stay: Persian
 * and emoji need them.
 */
const INVISIBLE = /[\p{Bidi_Control}\u00ad\u180e\u200b\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
/** In a name: all invisible characters, including U+2800 (an empty Braille cell). */
const INVISIBLE_IN_NAME = /[\p{Default_Ignorable_Code_Point}\p{Cf}\u2800]/gu;
const OPENING = /\p{Ps}/gu;
const CLOSING = /\p{Pe}/gu;

/** The longest name, in code points. */
export const MAX_NAME = 64;

/** One line without controls. */
export function printableLine(text: string): string {
  return text.replace(BLANKS, ' ').replace(INVISIBLE, '').replace(CONTROLS, '\ufffd');
}

/** A name to show between brackets: it contains none, and is visible. */
export function printableName(user: string): string {
  const visible = printableLine(user.slice(0, 16 * MAX_NAME))
    .replace(INVISIBLE_IN_NAME, '')
    .replace(OPENING, '(')
    .replace(CLOSING, ')')
    .replace(/\s+/gu, ' ')
    .trim();
  const points = Array.from(visible);
  if (points.length === 0) return '?';
  return points.length <= MAX_NAME ? visible : `${points.slice(0, MAX_NAME - 1).join('')}…`;
}

/** Lines, each as printableLine() makes it; the newlines stay. @param kept '\t': tabs stay too */
export function printableLines(text: string, kept = '\n'): string {
  return text.replace(/[^\n\t]+|\t/gu, (part) => (part === '\t' && kept === '\t' ? part : printableLine(part)));
}

/** The same JSON, in which the characters that a terminal would obey are escaped. */
export function jsonForTerminal(json: string): string {
  const escaped = (found: string): string =>
    Array.from({ length: found.length }, (_, i) => `\\u${found.charCodeAt(i).toString(16).padStart(4, '0')}`).join('');
  return [CONTROLS, BLANKS, INVISIBLE].reduce((text, pattern) => text.replace(pattern, escaped), json);
}
