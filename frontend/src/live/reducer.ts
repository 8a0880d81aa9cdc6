/** The live feed as a pure reducer: the socket only calls `receive`. */

import type { Delta, Frame, LogFrame } from '../api/types';

export interface Feed {
  readonly n: number | null; // number of the last frame taken; null before the first hello
}

export const emptyFeed: Feed = { n: null };

export type Effect =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'apply'; readonly delta: Delta }
  | { readonly kind: 'log'; readonly frame: LogFrame }
  | { readonly kind: 'resync'; readonly because: 'hello' | 'gap' | 'asked' };

const NOTHING: Effect = { kind: 'nothing' };

/** Frames are numbered without gaps; a missing number means that we missed something. */
export function receive(feed: Feed, frame: Frame): readonly [Feed, Effect] {
  switch (frame.type) {
    case 'hello':
      return [{ n: frame.n }, { kind: 'resync', because: 'hello' }];
    case 'delta':
      return receiveDelta(feed, frame);
    case 'resync':
      return [feed, { kind: 'resync', because: 'asked' }];
    case 'log':
      return [feed, { kind: 'log', frame }];
    default:
      return [feed, NOTHING];
  }
}

function receiveDelta(feed: Feed, delta: Delta): readonly [Feed, Effect] {
  if (feed.n !== null && delta.n <= feed.n) return [feed, NOTHING];
  const next: Feed = { n: delta.n };
  if (feed.n !== null && delta.n > feed.n + 1) {
    return [next, { kind: 'resync', because: 'gap' }];
  }
  return [next, { kind: 'apply', delta }];
}

/** Milliseconds before attempt number `attempt` (from 0), spread so that not all come at once. */
export function backoffMs(attempt: number, random: number): number {
  const base = Math.min(15_000, 500 * 2 ** Math.min(attempt, 6));
  return Math.round(base * (0.7 + 0.6 * random));
}
