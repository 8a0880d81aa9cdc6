/** Which part of time and which rows are in sight. Geometry only; no DOM, no fetch. */

import { DAY, HOUR, MINUTE } from '../../core/time';

/** How much time fits in the width of the timeline. */
export const ZOOMS = [
  { key: '1h', label: '1 h', name: '1 hour', ms: HOUR },
  { key: '3h', label: '3 h', name: '3 hours', ms: 3 * HOUR },
  { key: '6h', label: '6 h', name: '6 hours', ms: 6 * HOUR },
  { key: '1d', label: '1 d', name: '1 day', ms: DAY },
  { key: '3d', label: '3 d', name: '3 days', ms: 3 * DAY },
  { key: '1w', label: '1 w', name: '1 week', ms: 7 * DAY },
  { key: '2w', label: '2 w', name: '2 weeks', ms: 14 * DAY },
  { key: '1mo', label: '1 mo', name: '1 month', ms: 30 * DAY },
  { key: '3mo', label: '3 mo', name: '3 months', ms: 91 * DAY },
  { key: '1y', label: '1 y', name: '1 year', ms: 365 * DAY },
] as const;
export type Zoom = (typeof ZOOMS)[number]['key'];

export function zoomOf(key: string | null, fallback: Zoom): Zoom {
  return ZOOMS.find((zoom) => zoom.key === key)?.key ?? fallback;
}

export function zoomMs(key: Zoom): number {
  return ZOOMS.find((zoom) => zoom.key === key)?.ms ?? DAY;
}

/** The next finer (-1) or coarser (+1) zoom. */
export function zoomBy(key: Zoom, step: -1 | 1): Zoom {
  const at = ZOOMS.findIndex((zoom) => zoom.key === key);
  return ZOOMS[Math.min(ZOOMS.length - 1, Math.max(0, at + step))]?.key ?? key;
}

/** The canvas that can be scrolled reaches this many widths to each side of its middle. */
export const REACH = 8;

/** Where instants stand on the canvas. Linear in real time: a day of 23 h is shorter. */
export interface Scale {
  readonly originMs: number; // the instant at pixel 0
  readonly pxPerMs: number;
  readonly widthPx: number;
}

export function scaleAround(leftMs: number, spanMs: number, viewPx: number): Scale {
  return {
    originMs: leftMs - REACH * spanMs,
    pxPerMs: viewPx / spanMs,
    widthPx: viewPx * (2 * REACH + 1),
  };
}

export const xOf = (scale: Scale, at: number): number =>
  (at - scale.originMs) * scale.pxPerMs;

export const instantAt = (scale: Scale, x: number): number =>
  scale.originMs + x / scale.pxPerMs;

/** True when so little canvas is left on one side that its middle should be moved here. */
export function nearsEnd(scale: Scale, scrollPx: number, viewPx: number): boolean {
  return scrollPx < 2 * viewPx || scrollPx > scale.widthPx - 3 * viewPx;
}

/** The first index whose value is not less than `value`. */
export function lowerBound(
  length: number,
  value: number,
  valueAt: (index: number) => number,
): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (valueAt(middle) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** First and one-past-last row that touch the window; `tops` has one more entry than rows. */
export function rowsInSight(
  tops: Float64Array,
  topPx: number,
  heightPx: number,
): readonly [number, number] {
  const at = (index: number) => tops[index] ?? 0;
  const rows = tops.length - 1;
  const first = Math.max(0, lowerBound(rows, topPx + 1, at) - 1);
  return [first, Math.min(rows, lowerBound(rows, topPx + heightPx, at))];
}

export function rowAt(tops: Float64Array, y: number): number {
  const rows = tops.length - 1;
  return Math.min(
    rows - 1,
    Math.max(0, lowerBound(rows, y + 1, (i) => tops[i] ?? 0) - 1),
  );
}

const SNAPS = [MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR];

/** The step of a drag at this scale: the finest that can be aimed at with a mouse. */
export function snapMs(pxPerMs: number): number {
  return SNAPS.find((step) => step * pxPerMs >= 4) ?? DAY;
}
