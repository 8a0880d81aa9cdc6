import { describe, expect, test } from 'vitest';
import type { Run } from '../../src/api/types';
import { endingOf, ranMs, spansOf } from '../../src/runs/phases';

const T = (second: number): string => new Date(second * 1000).toISOString();
const NOW = 100_000;

function run(more: Partial<Run>): Run {
  return {
    queued_at: T(10),
    admitted_at: null,
    started_at: null,
    ended_at: null,
    ...more,
  } as Run;
}
const told = (it: Run) =>
  spansOf(it, NOW).map((span) => [span.name, span.from / 1000, span.to / 1000]);

describe('the phases of a run', () => {
  test('one that waits has waited up to now', () => {
    expect(told(run({}))).toEqual([['waited', 10, 100]]);
  });

  test('each lasts until the next begins, and the last until the end', () => {
    const over = run({ admitted_at: T(20), started_at: T(21), ended_at: T(50) });
    expect(told(over)).toEqual([
      ['waited', 10, 20],
      ['started up', 20, 21],
      ['ran', 21, 50],
    ]);
  });

  test('one that was called off while it waited ends there', () => {
    expect(told(run({ ended_at: T(12) }))).toEqual([['waited', 10, 12]]);
  });

  test('hooks stand among them in the order they began, beyond its end too', () => {
    const hook = { when: 'pre_start', number: 1, name: 'preload', detail: '' } as const;
    const over = run({
      admitted_at: T(20),
      started_at: T(30),
      ended_at: T(50),
      phases: [
        { ...hook, started_at: T(21), ended_at: T(29), outcome: 'done' },
        {
          ...hook,
          when: 'on_shutdown',
          name: 'archive',
          started_at: T(51),
          ended_at: null,
          outcome: '',
        },
      ],
    });
    expect(told(over)).toEqual([
      ['waited', 10, 20],
      ['started up', 20, 30],
      ['preload', 21, 29],
      ['ran', 30, 50],
      ['archive', 51, 100],
    ]);
  });
});

test('time frozen is a span of its own and does not count as run', () => {
  const it = run({ started_at: T(20), frozen_s: 5, suspended_at: T(90) });
  expect(ranMs(it, NOW)).toBe((80 - 5 - 10) * 1000);
  const frozen = [{ from: T(30), to: T(35), reason: 'room for another' }];
  const spans = spansOf({ ...it, frozen }, NOW);
  expect(spans.find((span) => span.kind === 'frozen')?.to).toBe(35_000);
});

describe('how a run ended is said once', () => {
  const ended = (state: Run['state'], reason: string, more: Partial<Run> = {}) =>
    endingOf({
      ...run({ signal: null, exit_code: null, oom_killed: false }),
      ...more,
      state,
      reason,
    } as Run);

  test.each([
    ['failed', 'exit code 3', { exit_code: 3 }, 'It failed with exit code 3.'],
    ['failed', 'ended by SIGSEGV', { signal: 11 }, 'It was ended by SIGSEGV.'],
    [
      'failed',
      'a hook failed',
      { exit_code: 0 },
      'It failed with exit code 0. A hook failed.',
    ],
    ['timed_out', 'its time limit was reached', {}, 'Its time limit was reached.'],
    [
      'lost',
      'its program is gone and nobody saw how it ended',
      {},
      'Its program is gone and nobody saw how it ended.',
    ],
    [
      'cancelled',
      'stopped by admin',
      {},
      'It was stopped or taken back. Stopped by admin.',
    ],
    ['cancelled', '', {}, 'It was stopped or taken back.'],
  ] as const)('%s, %s', (state, reason, more, said) => {
    expect(ended(state, reason, more)).toBe(said);
  });
});
