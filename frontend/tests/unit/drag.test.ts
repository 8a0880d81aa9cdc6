import { describe, expect, test } from 'vitest';
import { HOUR, MINUTE } from '../../src/core/time';
import {
  edgeSpeed,
  movedBy,
  refusal,
  resizedBy,
} from '../../src/schedule/timeline/drag';
import { keyAct } from '../../src/schedule/timeline/keys';
import { place } from '../../src/schedule/timeline/layout';
import { item } from './examples';

const at = (iso: string) => Date.parse(iso);
const from = {
  start: at('2026-11-23T10:07:00Z'),
  end: at('2026-11-23T10:19:00Z'),
  row: 'a',
};

describe('moving', () => {
  test('lands on round minutes of the wall clock and keeps the length', () => {
    const target = movedBy(from, 50 * MINUTE, 15 * MINUTE, 'UTC');
    expect(target.start).toBe(at('2026-11-23T11:00:00Z'));
    expect(target.end - target.start).toBe(12 * MINUTE);
  });

  test('not at all is not at all: no snapping of what was not moved', () => {
    expect(movedBy(from, 0, HOUR, 'UTC')).toEqual(from);
  });

  test('takes the row it is over', () => {
    expect(movedBy(from, 0, HOUR, 'UTC', 'b').row).toBe('b');
  });
});

describe('resizing', () => {
  test('moves the end alone', () => {
    const target = resizedBy(from, 20 * MINUTE, 5 * MINUTE, 'UTC');
    expect(target.start).toBe(from.start);
    expect(target.end).toBe(at('2026-11-23T10:40:00Z'));
  });

  test('leaves at least one step', () => {
    const target = resizedBy(from, -9 * HOUR, 5 * MINUTE, 'UTC');
    expect(target.end).toBe(from.start + 5 * MINUTE);
  });
});

describe('the edges', () => {
  test('scroll back at the left, forth at the right, not between', () => {
    expect(edgeSpeed(400, 800)).toBe(0);
    expect(edgeSpeed(10, 800)).toBeLessThan(0);
    expect(edgeSpeed(795, 800)).toBeGreaterThan(0);
    expect(edgeSpeed(-500, 800)).toBe(-18);
  });
});

describe('what may be dragged', () => {
  test('planned runs may; others say why not', () => {
    const said = (more: Parameters<typeof item>[3]) =>
      refusal(place(item('a', 0, 1, more)));
    expect(said({})).toBeNull();
    expect(said({ movable: false })).toContain('cannot be moved');
    expect(said({ state: 'running', movable: false })).toContain('is running');
    expect(said({ state: 'queued', movable: false })).toContain('waiting');
    expect(said({ state: 'failed', movable: false })).toContain('over');
  });
});

describe('keys', () => {
  const press = (key: string, mods = '') => ({
    key,
    altKey: mods.includes('a'),
    shiftKey: mods.includes('s'),
    ctrlKey: mods.includes('c'),
    metaKey: false,
  });

  test('arrows walk, with Alt they carry', () => {
    expect(keyAct(press('ArrowRight'), false)).toEqual({ kind: 'go', to: 'right' });
    expect(keyAct(press('ArrowRight', 'a'), false)).toEqual({
      kind: 'shift',
      mode: 'move',
      steps: 1,
    });
    expect(keyAct(press('ArrowLeft', 'as'), false)).toEqual({
      kind: 'shift',
      mode: 'resize',
      steps: -1,
    });
    expect(keyAct(press('ArrowLeft', 'ac'), false)).toMatchObject({ steps: -12 });
    expect(keyAct(press('ArrowDown', 'a'), true)).toEqual({ kind: 'row', step: 1 });
  });

  test('Enter opens, or puts down what is carried; Escape leaves it', () => {
    expect(keyAct(press('Enter'), false)).toEqual({ kind: 'open' });
    expect(keyAct(press('Enter'), true)).toEqual({ kind: 'drop' });
    expect(keyAct(press('Escape'), true)).toEqual({ kind: 'cancel' });
    expect(keyAct(press('Escape'), false)).toBeNull();
    expect(keyAct(press('m'), false)).toEqual({ kind: 'dialog' });
    expect(keyAct(press('x'), false)).toBeNull();
  });
});
