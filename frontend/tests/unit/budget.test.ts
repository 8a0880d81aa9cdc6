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

const PAGES = scripts.filter((file) => /Page-[\w-]+\.js$/.test(file));
test.each(PAGES)('%s is at most 45 KB beside the shell', (page) => {
  const more = [...closure(page)].filter((file) => !shell.has(file));
  expect(gzKb(more)).toBeLessThanOrEqual(45);
});

/** The calendar's grid, charts and the layout of graphs: see docs/decisions/0013. */
const LIBRARIES = /^(CalendarViews|uPlot|layout\.worker)/;
const libraries = scripts.filter((file) => LIBRARIES.test(file));

test('the three large libraries are loaded by no page at once', () => {
  expect(libraries).toHaveLength(3);
  for (const page of ['app.js', ...PAGES]) {
    expect([...closure(page)].filter((file) => libraries.includes(file))).toEqual([]);
  }
  expect(gzKb(libraries)).toBeLessThanOrEqual(75);
});

test('all pages together are at most 200 KB without them', () => {
  expect(gzKb(scripts.filter((file) => !libraries.includes(file)))).toBeLessThan(200);
});
