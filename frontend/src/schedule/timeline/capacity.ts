/** The capacity strip: lines on the timeline's own axis, and where it is over-booked. */

import type { Capacity } from '../../api/types';
import { xOf, type Scale } from './window';

export const MEASURES = ['memory', 'cpu', 'gpu', 'slots'] as const;
export type Measure = (typeof MEASURES)[number];

export const MEASURE_NAMES: Readonly<Record<Measure, string>> = {
  memory: 'memory',
  cpu: 'CPU',
  gpu: 'GPU',
  slots: 'slots',
};

export const TOP = 1.1; // the strip shows up to 110 %

export function yOf(fraction: number, heightPx: number): number {
  return heightPx * (1 - Math.min(Math.max(fraction, 0), TOP) / TOP);
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** The points of one line that fall into the window, and one beyond on each side. */
export function linePoints(
  capacity: Capacity,
  measure: Measure,
  scale: Scale,
  scrollPx: number,
  widthPx: number,
  heightPx: number,
): Point[] {
  const values = capacity[measure];
  const points: Point[] = [];
  capacity.times.forEach((time, index) => {
    const x = xOf(scale, time * 1000) - scrollPx;
    if (x < -widthPx || x > 2 * widthPx) return;
    points.push({ x, y: yOf(values[index] ?? 0, heightPx) });
  });
  return points;
}

export function valuesAt(
  capacity: Capacity,
  at: number,
): Readonly<Record<Measure, number>> | null {
  const { times } = capacity;
  let nearest = -1;
  let distance = Infinity;
  times.forEach((time, index) => {
    const away = Math.abs(time * 1000 - at);
    if (away < distance) [nearest, distance] = [index, away];
  });
  if (nearest < 0) return null;
  const pick = (measure: Measure) => capacity[measure][nearest] ?? 0;
  return {
    memory: pick('memory'),
    cpu: pick('cpu'),
    gpu: pick('gpu'),
    slots: pick('slots'),
  };
}

export interface Overbooking {
  readonly measure: Measure;
  readonly from: number;
  readonly to: number;
}

/** Stretches from `now` on in which more is planned than there is, earliest first. */
export function overbookings(capacity: Capacity, now: number): Overbooking[] {
  const found: Overbooking[] = [];
  const { times } = capacity;
  const stepMs = ((times[1] ?? 0) - (times[0] ?? 0)) * 1000;
  for (const measure of MEASURES) {
    let from: number | null = null;
    times.forEach((time, index) => {
      const at = time * 1000;
      const over = at + stepMs > now && (capacity[measure][index] ?? 0) > 1.001;
      if (over) from ??= at;
      const last = index === times.length - 1;
      if (from !== null && (!over || last)) {
        found.push({ measure, from, to: over ? at + stepMs : at });
        from = null;
      }
    });
  }
  return found.sort((a, b) => a.from - b.from);
}
