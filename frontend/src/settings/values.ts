/** A value of the configuration as text in a field, and back. The server checks it. Pure. */

import type { ConfigKey } from '../api/settings';

export interface Section {
  readonly name: string;
  readonly keys: readonly ConfigKey[];
}

/** Keys without a section first, then section by section, by name. */
export function sections(keys: readonly ConfigKey[]): readonly Section[] {
  const found = new Map<string, ConfigKey[]>();
  for (const key of keys) {
    const dot = key.key.indexOf('.');
    const name = dot < 0 ? '' : key.key.slice(0, dot);
    found.set(name, [...(found.get(name) ?? []), key]);
  }
  return [...found]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, keys]) => ({ name, keys }));
}

/** What may be chosen; null where it is written. */
export function choices(key: ConfigKey): readonly string[] | null {
  if (key.allowed === 'true or false') return ['true', 'false'];
  const listed = /^one of ([\w, -]+)$/.exec(key.allowed);
  return listed?.[1] ? listed[1].split(', ') : null;
}

export function textOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** "8" is a number, "true" a truth, "[1, 2]" a list; everything else is text. */
export function valueOf(text: string): unknown {
  const trimmed = text.trim();
  if (trimmed === '') return '';
  try {
    return JSON.parse(trimmed) as unknown;
  } catch {
    return trimmed;
  }
}

/** As it is shown: an empty list or text is "none". */
export function shown(value: unknown): string {
  if (Array.isArray(value)) {
    return value.length === 0 ? 'none' : value.map((one) => textOf(one)).join(', ');
  }
  return textOf(value) || 'none';
}
