import { expect, test } from 'vitest';
import type { QueueEntry } from '../../src/api/types';
import { arrange } from '../../src/graph/arrange';
import { fitted, related, showing, walk, zoomed } from '../../src/graph/drawing';
import { dropped, lanesOf, stepped } from '../../src/queue/order';

const ends = [
  { id: '1', from: 'a', to: 'b' },
  { id: '2', from: 'b', to: 'c' },
  { id: '3', from: 'x', to: 'c' },
];
const asked = {
  turn: 1,
  direction: 'LR' as const,
  alone: 3,
  nodes: ['a', 'b', 'c', 'x', 'p', 'q', 'r', 's'],
  edges: ends,
};
const plan = arrange(asked);

test('an edge leads to the right, and what hangs on nothing stands in rows below', () => {
  expect(plan.nodes['a']?.x).toBeLessThan(plan.nodes['b']?.x ?? 0);
  expect(plan.nodes['b']?.x).toBeLessThan(plan.nodes['c']?.x ?? 0);
  expect(plan.nodes['p']?.y).toBeGreaterThan(plan.nodes['c']?.y ?? 0);
  expect(plan.nodes['s']?.y).toBeGreaterThan(plan.nodes['r']?.y ?? 0);
});

test('arrows walk along edges', () => {
  expect(walk('a', 'ArrowRight', plan, ends, 'LR')).toBe('b');
  expect(walk('b', 'ArrowRight', plan, ends, 'LR')).toBe('c');
  expect(walk('b', 'ArrowLeft', plan, ends, 'LR')).toBe('a');
});

test('focus keeps what comes before and after, not what else they lead to', () => {
  expect([...related('b', ends)].sort()).toEqual(['a', 'b', 'c']);
});

test('five hundred agents are laid out in seconds', () => {
  const nodes = Array.from({ length: 500 }, (_, n) => `n${n}`);
  const edges = nodes.slice(1).map((to, n) => ({ id: to, from: `n${n >> 1}`, to }));
  const made = arrange({ ...asked, nodes, edges });
  expect(Object.keys(made.nodes)).toHaveLength(500);
}, 30_000);

test('zooming keeps what is under the pointer where it is', () => {
  const view = zoomed({ x: 10, y: 20, scale: 1 }, 2, { x: 110, y: 120 });
  expect(view).toEqual({ x: -90, y: -80, scale: 2 });
});

test('all of it fits, and a node that is out of sight comes into it', () => {
  const frame = { width: 500, height: 300 };
  const view = fitted({ width: 1000, height: 100 }, frame);
  expect(view.scale).toBeCloseTo(0.452);
  const moved = showing({ x: 0, y: 0, scale: 1 }, { x: 900, y: 100 }, frame);
  expect(900 + 98 + moved.x).toBe(500 - 16);
});

const entry = (uid: string, held = false) =>
  ({ uid, held, priority: 'low', agent: uid }) as QueueEntry;

test('a run steps and drops within its lane only', () => {
  const lane = [entry('a'), entry('b'), entry('h', true), entry('c')];
  expect(stepped(lane, 'b', -1)).toEqual({ run: 'b', before: 'a' });
  expect(stepped(lane, 'b', 1)).toEqual({ run: 'b', after: 'c' });
  expect(stepped(lane, 'a', -1)).toBeNull();
  expect(dropped(lane, 'c', 'a')).toEqual({ run: 'c', before: 'a' });
  expect(dropped(lane, 'a', 'elsewhere')).toBeNull();
  expect(lanesOf([entry('a')], [])).toHaveLength(1);
});
