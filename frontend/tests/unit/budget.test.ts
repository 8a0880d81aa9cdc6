// @vitest-environment node
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';

const ASSETS = new URL('../../dist/assets/', import.meta.url);
const text = (file: string) => readFileSync(new URL(file, ASSETS), 'utf8');
const scripts = readdirSync(ASSETS).filter((file) => file.endsWith('.js'));

/** A script and all it imports at once; what it only loads later does not count. */
function closure(file: string, found = new Set<string>()): Set<string> {
  if (found.has(file)) return found;
  found.add(file);
  for (const [, next] of text(file).matchAll(
    /(?:from|import)\s*["'`]\.\/([^"'`]+\.js)["'`]/g,
  )) {
    if (next) closure(next, found);
  }
  return found;
}
const gzKb = (files: Iterable<string>) =>
  [...files].reduce((sum, file) => sum + gzipSync(text(file), { level: 9 }).length, 0) /
  1000;

const shell = closure('app.js');

test('the shell is at most 45 KB of compressed script', () => {
  expect(gzKb(shell)).toBeLessThanOrEqual(45);
});

test('the schedule page is at most 40 KB more', () => {
  const page = scripts.find((file) => file.startsWith('SchedulePage-')) ?? '';
  const more = [...closure(page)].filter((file) => !shell.has(file));
  expect(more).toContain(page);
  expect(gzKb(more)).toBeLessThanOrEqual(40);
});

test('all of it is at most 180 KB', () => {
  expect(gzKb(scripts)).toBeLessThanOrEqual(180);
});
