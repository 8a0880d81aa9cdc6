import { describe, expect, test } from 'vitest';
import { MINUTE } from '../../src/core/time';
import { arrowsOf } from '../../src/schedule/timeline/arrows';
import { heat, needOf } from '../../src/schedule/timeline/heat';
import { place, rowTops, TimelineIndex } from '../../src/schedule/timeline/layout';
import { between, inBox, sorted } from '../../src/schedule/timeline/select';
import { windowBands } from '../../src/schedule/timeline/windows';
import { item } from './examples';

const T = Date.parse('2026-11-23T00:00:00Z');
const at = (minute: number) => T + minute * MINUTE;

function filled() {
  const index = new TimelineIndex();
  index.replace([
    item('a1', 0, 10),
    item('a2', 30, 40),
    item('a3', 60, 70, { state: 'running', run: 'a3', movable: false }),
    item('b1', 35, 45, { row: 'other', schedule: 's2' }),
  ]);
  return index;
}
const rows = ['row', 'other'];

describe('choosing', () => {
  test('a frame takes what it touches, in the rows it covers', () => {
    const index = filled();
    const tops = rowTops(rows, (id) => index.heightPx(id));
    const box = { from: at(5), to: at(36), topPx: 5, bottomPx: 20 };
    expect(inBox(index, rows, tops, box, 0.001)).toEqual(['a1', 'a2']);
    const lower = { ...box, bottomPx: 50 };
    expect(inBox(index, rows, tops, lower, 0.001)).toEqual(['a1', 'a2', 'b1']);
  });

  test('a stretch goes along one row and never to another', () => {
    expect(between(filled(), 'a3', 'a1')).toEqual(['a1', 'a2', 'a3']);
    expect(between(filled(), 'a1', 'b1')).toEqual(['b1']);
    expect(between(filled(), null, 'a2')).toEqual(['a2']);
  });

  test('what is chosen is sorted by what can be done with it', () => {
    const chosen = [...filled().all()];
    expect(sorted(chosen)).toEqual({
      movable: ['a1', 'a2', 'b1'],
      schedules: ['s1', 's2'],
      live: ['a3'],
      queued: [],
    });
  });
});

describe('behind the rows', () => {
  const window = {
    id: 'w',
    kind: 'blackout' as const,
    name: 'night',
    from: new Date(at(0)).toISOString(),
    to: new Date(at(60)).toISOString(),
    policy: 'skip' as const,
  };
  const tags = (agent: string) => (agent === 'row' ? ['etl'] : []);

  test('a window of tags is drawn in the rows of the agents that carry them', () => {
    const scoped = [{ ...window, scope: { tags: ['etl'] } }];
    const [band] = windowBands(scoped, 'agent', tags, rows, at(10), at(90));
    expect(band?.label).toBe('blackout: night');
    expect([...(band?.rows ?? [])]).toEqual(['row']);
    expect(windowBands(scoped, 'priority', tags, rows, at(10), at(90))).toEqual([]);
  });

  test('one for all concerns every row, and is left out beyond the view', () => {
    const all = [{ ...window, scope: 'all' as const }];
    expect(windowBands(all, 'agent', tags, rows, at(10), at(90))[0]?.rows).toBeNull();
    expect(windowBands(all, 'agent', tags, rows, at(60), at(90))).toEqual([]);
  });

  test('heat is full where the run has no room beside the others', () => {
    const zeros = [0, 0, 0, 0];
    const capacity = {
      times: [0, 10, 20, 30].map((m) => at(m) / 1000),
      memory: [0.1, 0.7, 0.9, 0.9],
      cpu: zeros,
      gpu: zeros,
      slots: zeros,
    };
    const need = needOf({ cpu_millis: 0, memory_bytes: 20, gpus: 0 }, [
      { cpu_millis: 100, memory_bytes: 100, gpus: 0 },
    ]);
    expect(
      heat(capacity, need, at(0), at(40)).map((it) => [it.from, it.level]),
    ).toEqual([
      [at(10), 2],
      [at(20), 3],
    ]);
  });
});

test('arrows lead to the next run of a dependant and from the last of a dependency', () => {
  const agents = [
    item('me', 30, 40, { agent: 'me' }),
    item('before1', 0, 5, { agent: 'up' }),
    item('before2', 20, 25, { agent: 'up' }),
    item('after1', 50, 55, { agent: 'down' }),
    item('after2', 70, 75, { agent: 'down' }),
    item('stranger', 50, 55, { agent: 'stranger' }),
  ].map(place);
  const edges = [
    { from: 'up', to: 'me', kind: 'depends_on' },
    { from: 'me', to: 'down', kind: 'cascades' },
    { from: 'up', to: 'stranger', kind: 'depends_on' },
  ];
  const me = agents[0];
  if (!me) throw new Error('no run');
  const found = arrowsOf(me, edges, agents).map((it) => [it.from.id, it.to.id]);
  expect(found).toEqual([
    ['me', 'after1'],
    ['before2', 'me'],
  ]);
});
