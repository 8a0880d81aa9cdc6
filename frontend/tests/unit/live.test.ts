import { describe, expect, test } from 'vitest';
import type { Delta, RunDelta } from '../../src/api/types';
import { append, byteLength, emptyLog } from '../../src/live/log';
import { News } from '../../src/live/news';
import { backoffMs, emptyFeed, receive, type Feed } from '../../src/live/reducer';
import { place } from '../../src/schedule/timeline/layout';
import { itemAfter } from '../../src/schedule/timeline/live';
import { item } from './examples';

const delta = (n: number): Delta => ({ type: 'delta', n });
const hello = (n: number) =>
  ({ type: 'hello', n, now: '2026-11-23T00:00:00Z' }) as const;

function feed(...frames: Parameters<typeof receive>[1][]): [Feed, string[]] {
  let state = emptyFeed;
  const effects: string[] = [];
  for (const frame of frames) {
    const [next, effect] = receive(state, frame);
    state = next;
    effects.push(effect.kind === 'resync' ? `resync:${effect.because}` : effect.kind);
  }
  return [state, effects];
}

describe('the feed', () => {
  test('frames in order are applied', () => {
    const [state, effects] = feed(hello(7), delta(8), delta(9));
    expect(effects).toEqual(['resync:hello', 'apply', 'apply']);
    expect(state.n).toBe(9);
  });

  test('a missing frame asks for a new snapshot, then goes on from there', () => {
    const [, effects] = feed(hello(7), delta(9), delta(10));
    expect(effects).toEqual(['resync:hello', 'resync:gap', 'apply']);
  });

  test('a frame that comes again is ignored', () => {
    const [, effects] = feed(hello(7), delta(8), delta(8), delta(6));
    expect(effects.slice(2)).toEqual(['nothing', 'nothing']);
  });

  test('the server may ask for a resync, and pings change nothing', () => {
    const [state, effects] = feed(hello(7), { type: 'ping' }, { type: 'resync' });
    expect(effects).toEqual(['resync:hello', 'nothing', 'resync:asked']);
    expect(state.n).toBe(7);
  });

  test('after a new connection the numbers may begin anew', () => {
    const [, effects] = feed(hello(70), delta(71), hello(3), delta(4));
    expect(effects).toEqual(['resync:hello', 'apply', 'resync:hello', 'apply']);
  });

  test('attempts to reconnect grow apart, are spread, and stay bounded', () => {
    expect(backoffMs(0, 0.5)).toBe(500);
    expect(backoffMs(3, 0.5)).toBe(4000);
    expect(backoffMs(40, 1)).toBeLessThanOrEqual(20_000);
    expect(backoffMs(2, 0)).toBeLessThan(backoffMs(2, 1));
  });
});

describe('the news of a run', () => {
  const news = (state: RunDelta['state'], second: number, more = {}): RunDelta => ({
    uid: 'run1',
    agent: 'reporter',
    state,
    at: `2026-11-23T00:00:${String(second).padStart(2, '0')}.5Z`,
    ...more,
  });

  /** What is told, when these are heard one after the other. */
  function told(...heard: RunDelta[]): RunDelta[] {
    const order = new News();
    return heard.flatMap(
      (run) => order.inOrder({ ...delta(1), runs: [run] }).runs ?? [],
    );
  }

  test('is told as it comes while it comes in order', () => {
    const heard = [news('queued', 1), news('starting', 2), news('succeeded', 3)];
    expect(told(...heard)).toEqual(heard);
  });

  test('that is heard after its end adds what it knows and takes nothing back', () => {
    const [, late] = told(
      news('succeeded', 3, { ended_at: 'then', exit_code: 0 }),
      news('running', 2, { started_at: 'before' }),
    );
    expect(late).toMatchObject({
      state: 'succeeded',
      at: news('succeeded', 3).at,
      started_at: 'before',
      ended_at: 'then',
      exit_code: 0,
    });
  });

  test('of an earlier stage that is heard late changes no state', () => {
    const [, , late] = told(
      news('running', 3),
      news('admitted', 1),
      news('starting', 2, { node: 'local' }),
    );
    expect(late).toMatchObject({ state: 'running', node: 'local' });
  });

  test('of a run that is queued again is believed, as it is newer', () => {
    expect(told(news('admitted', 1), news('queued', 2))[1]?.state).toBe('queued');
  });

  test('of a later stage is believed whatever the clock of its machine says', () => {
    expect(told(news('queued', 30), news('starting', 2))[1]?.state).toBe('starting');
  });

  test('that leaves the state alone passes', () => {
    const bare = { uid: 'run1', agent: 'reporter', priority: 'high' } as RunDelta;
    expect(told(news('running', 3), bare)[1]).toBe(bare);
  });
});

describe('a run on the timeline', () => {
  const NOW = Date.parse('2026-11-23T00:10:00Z');
  const planned = place(item('s1@20261123T001000Z', 10, 15, { moved: true }));
  const running: RunDelta = {
    uid: 'run1',
    agent: 'embedder',
    state: 'running',
    at: '2026-11-23T00:10:01Z',
    started_at: '2026-11-23T00:10:01Z',
    due_at: '2026-11-23T00:10:00Z',
    occurrence: 's1@20261123T001000Z',
  };

  test('takes over what was planned and keeps its expected length', () => {
    const after = itemAfter(running, planned, 'agent', NOW);
    expect(after).toMatchObject({
      id: 'run1',
      row: 'row',
      schedule: 's1',
      moved: true,
      repeating: true,
      movable: false,
      state: 'running',
      start: '2026-11-23T00:10:01.000Z',
      end: '2026-11-23T00:15:01.000Z',
    });
  });

  test('ends when it ended, and began when it began', () => {
    const known = place(itemAfter(running, planned, 'agent', NOW) ?? item('x', 0, 1));
    const ended: RunDelta = {
      uid: 'run1',
      agent: 'embedder',
      state: 'failed',
      at: '2026-11-23T00:12:00Z',
      ended_at: '2026-11-23T00:12:00Z',
      due_at: '2026-11-23T00:10:00Z',
      reason: 'exited with 3',
    };
    expect(itemAfter(ended, known, 'agent', NOW)).toMatchObject({
      start: '2026-11-23T00:10:01.000Z',
      end: '2026-11-23T00:12:00.000Z',
      state: 'failed',
      why: 'exited with 3',
    });
  });

  test('is put where the grouping says, when nothing is known of it', () => {
    const fresh: RunDelta = { ...running, priority: 'high', node: 'node-a' };
    expect(itemAfter(fresh, undefined, 'agent', NOW)?.row).toBe('embedder');
    expect(itemAfter(fresh, undefined, 'priority', NOW)?.row).toBe('high');
    expect(itemAfter(fresh, undefined, 'node', NOW)?.row).toBe('node-a');
    expect(itemAfter({ ...fresh, node: null }, undefined, 'node', NOW)?.row).toBe(
      'unplaced',
    );
    expect(itemAfter(fresh, undefined, 'tag', NOW)).toBeNull();
  });
});

describe('the log', () => {
  const text = (...parts: [number, string][]) => {
    let log = emptyLog;
    for (const [from, part] of parts) {
      const added = append(log, from, part);
      if (added.kind === 'gap') return 'gap';
      log = added.log;
    }
    return log.text;
  };

  test('pieces follow one another by bytes, not by characters', () => {
    expect(text([0, 'grün\n'], [6, 'rot\n'])).toBe('grün\nrot\n');
    expect(byteLength('grün\n')).toBe(6);
  });

  test('what comes twice is shown once', () => {
    expect(text([0, 'abc'], [0, 'abc'], [1, 'bcd'])).toBe('abcd');
  });

  test('a hole is noticed', () => {
    expect(text([0, 'abc'], [5, 'x'])).toBe('gap');
  });

  test('of endless output the page keeps the end, and says where it begins', () => {
    let log = emptyLog;
    const line = `${'x'.repeat(99)}\n`;
    for (let n = 0; n < 6000; n += 1) {
      const added = append(log, log.to, line);
      if (added.kind === 'ok') log = added.log;
    }
    expect(log.to).toBe(600_000);
    expect(log.text.length).toBeLessThanOrEqual(500_000);
    expect(log.from + byteLength(log.text)).toBe(log.to);
  });
});
