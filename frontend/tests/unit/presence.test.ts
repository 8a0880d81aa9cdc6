import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PresenceFrame } from '../../src/api/types';
import { session } from '../../src/core/session.svelte';
import { live, type Listener } from '../../src/live/live.svelte';
import { presence, type Drag } from '../../src/live/presence.svelte';

const NINE = Date.parse('2026-11-23T09:00:00Z');
const drag: Drag = {
  item: 's1@20261123T090000Z',
  agent: 'reporter',
  mode: 'move',
  start: NINE,
  end: NINE + 60_000,
  group: 'agent',
  row: 'reporter',
};
const frame = (change: Partial<PresenceFrame> = {}): PresenceFrame => ({
  type: 'presence',
  who: 'b',
  name: 'ben',
  hue: 120,
  drag: { ...drag, start: '2026-11-23T09:00:00.000Z', end: '2026-11-23T09:01:00.000Z' },
  ...change,
});

let said: unknown[] = [];
let stop = () => {};
let listener: Listener = {};

beforeEach(() => {
  vi.useFakeTimers();
  said = [];
  vi.spyOn(live, 'say').mockImplementation((message) => void said.push(message));
  vi.spyOn(live, 'listen').mockImplementation((it) => {
    listener = it;
    return () => {};
  });
  session.me = { name: 'anna', role: 'operator', timezone: 'UTC' };
  stop = presence.start();
});
afterEach(() => {
  stop();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const starts = () =>
  said.map((it) => (it as { drag: { start: string } | null }).drag?.start ?? null);

describe('what we drag', () => {
  test('is told at once, then at most ten times a second, the latest last', () => {
    for (let ms = 0; ms < 1000; ms += 10) {
      presence.show({ ...drag, start: NINE + ms });
      vi.advanceTimersByTime(10);
    }
    vi.advanceTimersByTime(100);
    expect(said.length).toBeGreaterThanOrEqual(9);
    expect(said.length).toBeLessThanOrEqual(12);
    expect(starts().at(-1)).toBe(new Date(NINE + 990).toISOString());
  });

  test('is repeated while it is held still, so that nobody forgets it', () => {
    presence.show(drag);
    vi.advanceTimersByTime(2900);
    expect(said).toHaveLength(3);
  });

  test('ends once, and nothing of it is said after that', () => {
    presence.show(drag);
    presence.show({ ...drag, start: NINE + 1000 });
    presence.end();
    presence.end();
    vi.advanceTimersByTime(5000);
    expect(starts()).toEqual(['2026-11-23T09:00:00.000Z', null]);
  });

  test('stays ours when our role may not move anything', () => {
    session.me = { name: 'vic', role: 'viewer', timezone: 'UTC' };
    presence.show(drag);
    vi.advanceTimersByTime(2000);
    expect(said).toEqual([]);
  });
});

describe('what others drag', () => {
  test('is known by connection, moves, and goes when it is put down', () => {
    listener.onpresence?.(frame());
    listener.onpresence?.(frame({ who: 'c', name: 'ben' }));
    expect([...presence.ghosts.keys()]).toEqual(['b', 'c']);
    expect(presence.ghosts.get('b')).toMatchObject({
      name: 'ben',
      drag: { start: NINE },
    });
    listener.onpresence?.(frame({ drag: null }));
    expect([...presence.ghosts.keys()]).toEqual(['c']);
  });

  test('is forgotten after three seconds of silence, counted from the last word', () => {
    listener.onpresence?.(frame());
    vi.advanceTimersByTime(2500);
    listener.onpresence?.(frame());
    vi.advanceTimersByTime(2500);
    expect(presence.ghosts.size).toBe(1);
    vi.advanceTimersByTime(600);
    expect(presence.ghosts.size).toBe(0);
  });

  test('is forgotten when the connection begins anew', () => {
    listener.onpresence?.(frame());
    listener.onresync?.(0);
    expect(presence.ghosts.size).toBe(0);
  });
});
