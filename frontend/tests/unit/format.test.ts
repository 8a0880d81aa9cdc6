import { describe, expect, test } from 'vitest';
import * as format from '../../src/core/format';
import { search } from '../../src/core/search';
import { occurrenceId } from '../../src/schedule/firings';
import { actorName, linkOf, sayData, sayKind } from '../../src/audit/entry';
import {
  parseRegistration,
  registrationOf,
  suggestName,
  emptyForm,
} from '../../src/agents/definition';

const at = (iso: string) => Date.parse(iso);
const NOW = at('2026-11-23T09:00:00Z');

describe('instants', () => {
  test('are shown on the clock of the zone', () => {
    expect(format.clock(NOW, 'UTC')).toBe('09:00');
    expect(format.clock(NOW, 'Europe/Berlin')).toBe('10:00');
    expect(format.moment(NOW, 'Asia/Tokyo', NOW)).toBe('Mon 18:00');
    expect(format.moment(at('2027-01-01T00:00:00Z'), 'UTC', NOW)).toBe(
      'Fri 1 Jan 00:00',
    );
  });

  test('are told relative to now', () => {
    const say = (ms: number) => format.relative(NOW + ms, NOW);
    expect([say(0), say(12 * 60_000), say(-3 * 3_600_000)]).toEqual([
      'now',
      'in 12 min',
      '3 h ago',
    ]);
  });

  test('make a range with as few words as needed', () => {
    const range = (from: string, to: string) => format.range(at(from), at(to), 'UTC');
    expect(range('2026-11-23T00:00:00Z', '2026-11-30T00:00:00Z')).toBe(
      'Mon 23 – Sun 29 Nov 2026',
    );
    expect(range('2026-11-23T10:00:00Z', '2026-11-23T16:00:00Z')).toBe(
      'Mon 23 Nov 2026, 10:00 – 16:00',
    );
  });
});

describe('figures', () => {
  test('durations have two parts at most', () => {
    const say = (s: number) => format.duration(s * 1000);
    expect([say(0.25), say(42), say(200), say(7500), say(100_000)]).toEqual([
      '250 ms',
      '42 s',
      '3 m 20 s',
      '2 h 5 m',
      '1 d 3 h',
    ]);
  });

  test('bytes are decimal, as agents are registered', () => {
    expect([512, 128e6, 4e9, 1.5e9].map(format.bytes)).toEqual([
      '512 B',
      '128 MB',
      '4 GB',
      '1.5 GB',
    ]);
    expect([2000, 100].map(format.cores)).toEqual(['2', '0.1']);
  });
});

describe('the palette', () => {
  test('finds by the beginnings of words first', () => {
    const names = ['prompt_optimizer', 'report_weekly', 'gpu_bench', 'Nodes'];
    expect(search('po', names, (name) => name, 3)[0]).toBe('prompt_optimizer');
    expect(search('rw', names, (name) => name, 3)).toEqual(['report_weekly']);
    expect(search('zzz', names, (name) => name, 3)).toEqual([]);
  });
});

describe('occurrences', () => {
  test('are named by their nominal instant, microseconds only when there are some', () => {
    expect(occurrenceId('s1', '2026-11-23T10:40:00Z')).toBe('s1@20261123T104000Z');
    expect(occurrenceId('s1', '2026-11-23T10:40:00.250Z')).toBe(
      's1@20261123T104000.250000Z',
    );
  });
});

describe('a new agent', () => {
  test('gets a name from what its command runs', () => {
    expect(suggestName('python3', ['/srv/jobs/Mail-Triage.py', '--fast'])).toBe(
      'mail_triage',
    );
    expect(suggestName('/usr/local/bin/embedder', [])).toBe('embedder');
    expect(suggestName('bash', [])).toBe('bash');
  });

  test('states only what was typed', () => {
    const form = { ...emptyForm, agent_id: 'x', cpu: '0.5', memory: '1GB' };
    expect(registrationOf(form, { entry_point: 'x', args: [] })).toEqual({
      agent_id: 'x',
      exec_env: 'subprocess',
      entry_point: 'x',
      kind: 'ephemeral',
      priority: 'medium',
      cpu: 0.5,
      memory: '1GB',
    });
  });

  test('from JSON must be an object', () => {
    expect(parseRegistration('[1]')).toHaveProperty('fault');
    expect(parseRegistration('{"agent_id"')).toHaveProperty('fault');
    expect(parseRegistration('{"agent_id":"a"}')).toEqual({
      registration: { agent_id: 'a' },
    });
  });
});

describe('the audit trail', () => {
  test('reads as a sentence and links to what it is about', () => {
    expect(actorName('user:ada')).toBe('ada');
    expect(sayKind('run.timed_out')).toBe('run timed out');
    expect(sayData({ before: 'queued', node: null, count: 3 })).toBe(
      'before: queued, count: 3',
    );
    expect(linkOf('run:0123456789abcdef')).toEqual({
      href: '/runs/0123456789abcdef',
      text: 'run 01234567',
    });
    expect(linkOf('something')).toBeNull();
  });
});
