import { describe, expect, test } from 'vitest';
import { draftOf, type Rule } from '../../src/schedule/rule';

describe('a new schedule', () => {
  const rule: Rule = {
    how: 'every',
    words: ' every weekday at 9:00 ',
    every: 15,
    unit: 'm',
    cron: '0 9 * * 1-5',
    sun: 'sunset',
    side: 'before',
    minutes: 30,
    latitude: null,
    longitude: null,
    wall: '2026-03-29T02:30',
    timezone: 'Europe/Berlin',
  };
  const made = (patch: Partial<Rule>) => draftOf({ ...rule, ...patch });

  test('is words, seconds, cron, the sun or an instant', () => {
    expect(made({})).toEqual({ interval: 900, timezone: 'Europe/Berlin' });
    expect(made({ how: 'words' })?.rule).toBe('every weekday at 9:00');
    expect(made({ how: 'cron' })?.cron).toBe('0 9 * * 1-5');
    expect(made({ how: 'sun' })?.solar).toBe('sunset-30m');
    expect(made({ how: 'once' })?.run_at).toBe('2026-03-29T01:30:00.000Z');
  });

  test('counts from the sun before, at and after it', () => {
    const said = (side: Rule['side']) => made({ how: 'sun', side })?.solar;
    expect([said('before'), said('at'), said('after')]).toEqual([
      'sunset-30m',
      'sunset',
      'sunset+30m',
    ]);
  });

  test('names a place only when both of its numbers are given', () => {
    expect(made({ how: 'sun', latitude: 52.5 })).not.toHaveProperty('place');
    expect(made({ how: 'sun', latitude: 52.5, longitude: 0 })?.place).toEqual({
      latitude: 52.5,
      longitude: 0,
    });
  });

  test('is nothing while it is not complete', () => {
    expect(made({ how: 'words', words: ' ' })).toBeNull();
    expect(made({ every: NaN })).toBeNull();
    expect(made({ how: 'cron', cron: ' ' })).toBeNull();
    expect(made({ how: 'sun', minutes: NaN })).toBeNull();
    expect(made({ how: 'once', wall: '' })).toBeNull();
  });
});
