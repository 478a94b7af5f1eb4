import { createHash } from 'node:crypto';
import correct from 'spdx-correct';
import parse, { type Info } from 'spdx-expression-parse';

export type Category = 'permissive' | 'weak copyleft' | 'copyleft' | 'unknown' | 'none' | 'unreadable';

export interface License {
  /** An SPDX expression, or what the package calls it. Empty when there is none. */
  readonly id: string;
  readonly category: Category;
  /** SHA-256 of the licence text, hexadecimal. Empty when the package has no such file. */
  readonly textHash: string;
}

const COPYLEFT = /^(A?GPL|EUPL|OSL|SSPL|CC-BY-SA)/;
const WEAK_COPYLEFT = /^(LGPL|MPL|EPL|CDDL|CPL)/;
const PERMISSIVE =
  /^(MIT|ISC|BSD|0BSD|Apache|Unlicense|CC0|CC-BY-[0-9]|BlueOak|Python|PSF|Zlib|WTFPL|Artistic|BSL|Unicode|X11|AFL|Hippocratic|MS-PL|NCSA|PostgreSQL)/;

/** Phrases that tell a licence text, for packages that only ship the text. */
const TEXTS: readonly (readonly [RegExp, string])[] = [
  [/permission is hereby granted, free of charge, to any person obtaining a copy/i, 'MIT'],
  [/permission to use, copy, modify, and\/?o?r? ?distribute this software for any purpose/i, 'ISC'],
  [/apache license\s+version 2\.0/i, 'Apache-2.0'],
  [/mozilla public license,? version 2\.0/i, 'MPL-2.0'],
  [/gnu affero general public license/i, 'AGPL-3.0'],
  [/gnu lesser general public license/i, 'LGPL-3.0'],
  [/gnu general public license/i, 'GPL-3.0'],
  [/redistribution and use in source and binary forms/i, 'BSD-3-Clause'],
  [/this is free and unencumbered software released into the public domain/i, 'Unlicense'],
];

/** What npm says for a package that nobody may use, and for one whose licence is only in a file. */
const NO_RIGHTS = /^UNLICENSED$/i;
const IN_A_FILE = /^SEE LICEN[CS]E IN\b/i;

/** Sorts a package by what its package.json declares, else by its licence text. */
export function classify(declared: unknown, text: string): License {
  const textHash = text === '' ? '' : createHash('sha256').update(text).digest('hex');
  const named = declaredId(declared);
  const id = named === '' || IN_A_FILE.test(named) ? (licenseOfText(text) ?? named) : named;
  return { id, category: categoryOf(id), textHash };
}

const licenseOfText = (text: string): string | undefined => TEXTS.find(([phrase]) => phrase.test(text))?.[1];

/** `license` as a string, as the old object, or as the older list of objects. */
function declaredId(declared: unknown): string {
  if (typeof declared === 'string') return declared.trim();
  if (Array.isArray(declared)) return declared.map(declaredId).filter(Boolean).join(' OR ');
  if (typeof declared === 'object' && declared !== null && 'type' in declared) return declaredId(declared.type);
  return '';
}

function categoryOf(id: string): Category {
  // Asked first: the correction of misspelt names takes UNLICENSED for the Unlicense, which is its opposite.
  if (id === '' || NO_RIGHTS.test(id)) return 'none';
  try {
    return categoryOfExpression(parse(correct(id) ?? id));
  } catch {
    return 'unknown';
  }
}

const ORDER: readonly Category[] = ['permissive', 'weak copyleft', 'copyleft', 'unknown', 'none'];

/** Of alternatives the freest counts, of licences that hold together the strictest. */
function categoryOfExpression(info: Info): Category {
  if ('conjunction' in info) {
    const ranks = [info.left, info.right].map((side) => ORDER.indexOf(categoryOfExpression(side)));
    return ORDER[info.conjunction === 'or' ? Math.min(...ranks) : Math.max(...ranks)] ?? 'unknown';
  }
  if (!('license' in info)) return 'unknown';
  if (WEAK_COPYLEFT.test(info.license)) return 'weak copyleft';
  if (COPYLEFT.test(info.license)) return 'copyleft';
  return PERMISSIVE.test(info.license) ? 'permissive' : 'unknown';
}
