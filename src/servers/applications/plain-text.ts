/**
 * Text of somebody else, for a terminal. A terminal obeys what it is sent: an escape sequence moves the cursor into other lines, a
 * bidirectional override turns them around (CVE-2021-42574), and characters that are not seen make two names look alike.
 */

/** What separates words or lines, as one blank. The C1 control U+0085 is a line's end (NEL). */
const BLANKS = /[\t\n\v\f\r\u0085\u2028\u2029]+/gu;
/** C0, DEL, C1; and halves of surrogate pairs, which UTF-8 cannot write. */
const CONTROLS = /[\p{Cc}\p{Cs}]/gu;
/**
 * Bidirectional controls (U+061C, 200E, 200F, 202A to 202E, 2066 to 2069), what has no width, and tags. U+200C and U+200D stay: Persian and
 * emoji are written with them.
 */
const UNSEEN = /[\p{Bidi_Control}\u00ad\u180e\u200b\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
/** In a name: all that is not seen, U+2800 (an empty Braille cell) among it. */
const UNSEEN_IN_NAME = /[\p{Default_Ignorable_Code_Point}\p{Cf}\u2800]/gu;
const OPENING = /\p{Ps}/gu;
const CLOSING = /\p{Pe}/gu;

/** The longest name, in code points. */
export const MAX_NAME = 64;

/** One line without controls. */
export function textOf(text: string): string {
  return text.replace(BLANKS, ' ').replace(UNSEEN, '').replace(CONTROLS, '\ufffd');
}

/** A name that stands between brackets: it has none of its own, and is seen. */
export function nameOf(user: string): string {
  const seen = textOf(user.slice(0, 16 * MAX_NAME))
    .replace(UNSEEN_IN_NAME, '')
    .replace(OPENING, '(')
    .replace(CLOSING, ')')
    .replace(/\s+/gu, ' ')
    .trim();
  const points = Array.from(seen);
  if (points.length === 0) return '?';
  return points.length <= MAX_NAME ? seen : `${points.slice(0, MAX_NAME - 1).join('')}…`;
}

/** Lines, each as textOf() has it; the newlines stay. @param kept another character that stays */
export function textOfLines(text: string, kept = '\n'): string {
  return text.replace(/[^\n\t]+|\t/gu, (part) => (part === '\t' && kept === '\t' ? part : textOf(part)));
}

/** JSON with the same meaning: what a terminal would obey is escaped. */
export function jsonForTerminal(json: string): string {
  const escaped = (found: string): string =>
    Array.from({ length: found.length }, (_, i) => `\\u${found.charCodeAt(i).toString(16).padStart(4, '0')}`).join('');
  return [CONTROLS, BLANKS, UNSEEN].reduce((text, pattern) => text.replace(pattern, escaped), json);
}
