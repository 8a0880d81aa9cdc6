import { describe, expect, test } from 'vitest';
import type { RunDelta } from '../../src/api/types';
import { band, deadlineWords, endWords } from '../../src/schedule/timeline/expected';
import { place, TimelineIndex } from '../../src/schedule/timeline/layout';
import { itemAfter } from '../../src/schedule/timeline/live';
import { passedItem, passedWords } from '../../src/schedule/timeline/passed';
import { item } from './examples';

const at = (time: string) => `2026-11-23T${time}Z`;
const NOW = Date.parse(at('14:01:00'));
const running = place({
  ...item('r1', 0, 5),
  start: at('14:00:00'),
  end: at('14:05:00'),
  state: 'running',
  end_p95: at('14:12:00'),
});
const words = (placed: typeof running, now = NOW) =>
  endWords(placed, false, now, 'UTC');

describe('the expected end', () => {
  test('is said with the latest likely one', () => {
    expect(words(running)).toBe('Ends about 14:05, at the latest 14:12.');
  });

  test('is one word where both are the same minute', () => {
    const sure = place({ ...running.item, end_p95: at('14:05:20') });
    expect(words(sure)).toBe('Ends about 14:05.');
  });

  test('that has passed is told as longer than usual', () => {
    expect(words(running, Date.parse(at('14:20:00')))).toContain('longer than usual');
  });

  test('is not said of what is over, kept running, or unknown', () => {
    expect(words(place({ ...running.item, state: 'succeeded' }))).toBe('');
    expect(endWords(running, true, NOW, 'UTC')).toBe('');
    expect(words(place({ ...running.item, end_p95: null }))).toBe('');
  });

  test('is a band from the usual end to the latest, and none once it has passed', () => {
    expect(band(running.item, running.end)).toEqual({
      from: running.end,
      to: Date.parse(at('14:12:00')),
    });
    expect(band(running.item, Date.parse(at('14:12:00')))).toBeNull();
  });

  test('goes with a planned run when it begins later than planned', () => {
    const planned = place({ ...running.item, state: 'planned', run: null });
    const delta = {
      uid: 'r1',
      agent: 'a',
      state: 'running',
      at: at('14:00:30'),
      started_at: at('14:00:30'),
    } as RunDelta;
    const live = itemAfter(delta, planned, 'agent', NOW);
    expect(live?.end_p95).toBe('2026-11-23T14:12:30.000Z');
    expect(live?.end_movable).toBe(true);
    expect(itemAfter(delta, planned, 'agent', NOW, true)?.end_movable).toBe(false);
  });
});

describe('deadlines', () => {
  const due = place({ ...running.item, finish_by_at: at('14:20:00') });
  const said = (placed: typeof running) => deadlineWords(placed, NOW, 'UTC');

  test('are told calmly while they will be kept', () => {
    expect(said(due)).toEqual([
      { text: 'Must finish by Mon 14:20, in 19 min.', tone: 'calm' },
    ]);
  });

  test('are a warning before they are missed, and say why', () => {
    const risky = place({ ...due.item, at_risk: 'expected end 14:32 passes it' });
    expect(said(risky).map((it) => it.tone)).toEqual(['warn', 'warn']);
    expect(said(risky)[1]?.text).toBe('At risk: expected end 14:32 passes it.');
  });

  test('that were missed are told even of what is over', () => {
    const over = { ...due.item, deadline_missed: ['finish'], state: 'failed' } as const;
    expect(said(place(over))).toEqual([
      { text: 'Not finished by Mon 14:20, as it had to be.', tone: 'bad' },
    ]);
  });

  test('a warning comes and goes with the live feed', () => {
    const delta = {
      uid: due.id,
      agent: 'a',
      state: 'running',
      at: at('14:01:00'),
    } as RunDelta;
    const risky = itemAfter({ ...delta, at_risk: 'late' }, due, 'agent', NOW);
    expect(risky?.at_risk).toBe('late');
    expect(risky?.finish_by_at).toBe(at('14:20:00'));
    const calm = place(risky ?? due.item);
    const after = itemAfter({ ...delta, at_risk: null }, calm, 'agent', NOW);
    expect(after?.at_risk).toBeNull();
  });
});

describe('instants that did not run', () => {
  const gap = {
    id: 's1@20261123T120000Z/20261123T130000Z',
    schedule: 's1',
    row: 'a',
    agent: 'a',
    start: at('12:00:00'),
    end: at('13:00:00'),
    count: 13,
    state: 'missed',
    why: 'the scheduler did not run then',
    priority: 'medium',
  } as const;

  test('are counted in words', () => {
    expect(passedWords(passedItem(gap))).toBe('13 instants missed');
    expect(passedWords(passedItem({ ...gap, count: 1 }))).toBe('missed');
  });

  test('are marks that take no lane from the runs beside them', () => {
    const index = new TimelineIndex();
    const run = { ...running.item, id: 'r', row: 'a', start: at('12:10:00') };
    index.replace([passedItem(gap), run]);
    expect(index.lanes('a')).toBe(1);
    expect(index.get('r')?.lane).toBe(0);
  });
});
