/** Which lines the address names: "#L12", "#L12-L20", and "#E…" for the errors. */

import type { Stream } from '../../api/types';

export interface Lines {
  readonly stream: Stream;
  readonly from: number;
  readonly to: number;
}

const NAMED = /^#([LE])(\d{1,10})(?:-[LE]?(\d{1,10}))?$/;

export function readHash(hash: string): Lines | null {
  const match = NAMED.exec(hash);
  if (!match) return null;
  const from = Number(match[2]);
  const to = match[3] ? Number(match[3]) : from;
  if (from < 1 || to < 1) return null;
  return {
    stream: match[1] === 'E' ? 'err' : 'out',
    from: Math.min(from, to),
    to: Math.max(from, to),
  };
}

export function hashOf({ stream, from, to }: Lines): string {
  const mark = stream === 'err' ? 'E' : 'L';
  return from === to ? `#${mark}${from}` : `#${mark}${from}-${mark}${to}`;
}

/** A browser draws no element higher than this; a longer list is scrolled faster. */
export const MOST_PX = 15_000_000;

export interface Shape {
  readonly count: number;
  readonly rowPx: number;
  readonly viewPx: number;
  /** Rows may be higher than rowPx. */
  readonly wraps: boolean;
}

export const heightOf = ({ count, rowPx }: Shape): number =>
  Math.min(count * rowPx, MOST_PX);

/** Rows are where they stand in the list; else only the one at the anchor is known. */
export const isDirect = ({ count, rowPx, wraps }: Shape): boolean =>
  !wraps && count * rowPx <= MOST_PX;

export interface Window {
  readonly first: number;
  readonly last: number; // not in it any more
  readonly anchor: number; // a row, and how much of it is above the anchor's place
  readonly share: number;
  readonly atPx: number; // where the anchor is in what is seen
}

const SPARE = 8;

export function windowAt(shape: Shape, scrollPx: number): Window {
  const { count, rowPx, viewPx } = shape;
  const rows = Math.ceil(viewPx / rowPx);
  if (isDirect(shape)) {
    const anchor = Math.max(0, Math.floor(scrollPx / rowPx) - SPARE);
    const last = Math.min(count, anchor + rows + 2 * SPARE);
    return { first: anchor, last, anchor, share: 0, atPx: anchor * rowPx - scrollPx };
  }
  const far = Math.max(1, heightOf(shape) - viewPx);
  const fraction = Math.min(1, Math.max(0, scrollPx / far));
  const exact = Math.min(fraction * count, count - 1e-6);
  const anchor = Math.max(0, Math.floor(exact));
  return {
    first: Math.max(0, anchor - rows - SPARE),
    last: Math.min(count, anchor + rows + SPARE),
    anchor,
    share: exact - anchor,
    atPx: fraction * viewPx,
  };
}

/** Where to scroll to, so that a row is in the middle, or as near as can be. */
export function scrollFor(shape: Shape, row: number): number {
  const { count, rowPx, viewPx } = shape;
  const far = Math.max(0, heightOf(shape) - viewPx);
  if (isDirect(shape)) {
    return Math.min(far, Math.max(0, (row + 0.5) * rowPx - viewPx / 2));
  }
  return (row / Math.max(1, count - 1)) * far;
}
