/** Groups of rules, values of the configuration, and differences in the journal. */

import { describe, expect, it } from 'vitest';
import type { ConfigKey } from '../../src/api/settings';
import type { Trigger } from '../../src/api/triggers';
import { changesOf, factsOf } from '../../src/audit/entry';
import { filterOf } from '../../src/audit/filters';
import { choices, sections, shown, valueOf } from '../../src/settings/values';
import { grouped, sayAsker } from '../../src/triggers/groups';

const trigger = (family: string, source: string | null = null) =>
  ({ family, source }) as Trigger;
const key = (name: string, allowed = '') => ({ key: name, allowed }) as ConfigKey;

describe('rules', () => {
  it('stand by the kind of thing that fires them; empty groups are left out', () => {
    const found = grouped([
      trigger('clock'),
      trigger('event', 'webhook'),
      trigger('clock'),
    ]);
    expect(found.map((group) => [group.key, group.items.length])).toEqual([
      ['webhook', 1],
      ['clock', 2],
    ]);
  });
  it('say who asked besides', () => {
    expect(sayAsker('token:ci')).toBe('ci, over the API');
    expect(sayAsker('scheduler')).toBe('scheduler');
  });
});

describe('a value of the configuration', () => {
  it('is read as what it is', () => {
    expect(valueOf('8')).toBe(8);
    expect(valueOf('false')).toBe(false);
    expect(valueOf('["/srv"]')).toEqual(['/srv']);
    expect(valueOf('85%')).toBe('85%');
  });
  it('is chosen where there is a choice', () => {
    expect(choices(key('a', 'true or false'))).toEqual(['true', 'false']);
    expect(choices(key('a', 'one of fifo, lifo'))).toEqual(['fifo', 'lifo']);
    expect(choices(key('a', 'seconds from 1 to 9'))).toBeNull();
  });
  it('stands in its section', () => {
    const found = sections([key('nodes.name'), key('mode')]);
    expect(found.map((section) => section.name)).toEqual(['', 'nodes']);
    expect(shown([])).toBe('none');
  });
});

describe('an entry of the journal', () => {
  it('tells only the keys that differ', () => {
    const data = { before: { a: 1, b: 2 }, after: { a: 1, b: 3 } };
    expect(changesOf(data)).toEqual([{ key: 'b', before: 2, after: 3 }]);
  });
  it('finds pairs of before and after, and what else there is', () => {
    const data = { rule_before: 'x', rule_after: 'y', version: 2, via: 'admin' };
    expect(changesOf(data)).toEqual([{ key: 'rule', before: 'x', after: 'y' }]);
    expect(factsOf(data)).toEqual([['version', 2]]);
  });
  it('is looked for by whole days', () => {
    const asked = new Map([
      ['to', '2026-11-23'],
      ['actor', 'anna'],
    ]);
    const filter = filterOf((name) => asked.get(name) ?? null);
    expect(filter.to).toBe('2026-11-24T00:00:00.000Z');
    expect([filter.from, filter.actor]).toEqual([null, 'anna']);
  });
});
