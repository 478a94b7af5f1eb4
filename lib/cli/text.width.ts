import { stripVTControlCharacters } from 'node:util';

/** Characters that take two columns (Unicode Standard Annex #11), and one that makes two of what is before it. */
const WIDE =
  /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Bopomofo}\p{Script=Yi}\p{Script=Tangut}\p{Emoji_Presentation}\u{1F000}-\u{1FAFF}\u3000-\u303E\uFE30-\uFE6F\uFF01-\uFF60\uFFE0-\uFFE6]/u;
const EMOJI_STYLE = '\uFE0F';
/** Marks of the character before, and what is not seen. */
const NONE = /[\p{Mark}\p{Default_Ignorable_Code_Point}\p{Control}]/u;
const ASCII = /^[\x20-\x7e]*$/;

/**
 * Columns that a line takes in a terminal. Terminals differ where several characters make one emoji: then it is the most
 * that any of them gives it, so that a line never takes more.
 */
export function widthOf(line: string): number {
  const text = stripVTControlCharacters(line);
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += columnsOf(character);
  return width;
}

/** As much of a line as there are columns for; it has no escape sequences. What is cut ends with `…`. */
export function cutTo(columns: number, line: string): string {
  if (widthOf(line) <= columns) return line;
  let width = 0;
  let cut = '';
  for (const { segment } of new Intl.Segmenter().segment(line)) {
    width += widthOf(segment);
    if (width > columns - 1) break;
    cut += segment;
  }
  return columns > 0 ? `${cut}…` : '';
}

/** Text of others as a part of one line: nothing in it moves the cursor. */
export const oneLine = (text: string): string => stripVTControlCharacters(text).replace(/[\s\p{Control}]+/gu, ' ');

function columnsOf(character: string): number {
  if (character === EMOJI_STYLE) return 1;
  if (NONE.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}
