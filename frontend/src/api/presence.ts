/** What others drag right now, as the live feed tells it. */

import type { Group } from './types';

/** What somebody else drags right now; null: they put it down. */
export interface PresenceFrame {
  readonly type: 'presence';
  readonly who: string; // a connection, not a person
  readonly name: string;
  readonly hue: number; // degrees
  readonly drag: WireDrag | null;
}

export interface WireDrag {
  readonly item: string | null; // an occurrence or a run; null: a new one is being placed
  readonly agent: string;
  readonly mode: 'move' | 'resize' | 'create';
  readonly start: string;
  readonly end: string;
  readonly group: Group;
  readonly row: string;
  readonly count?: number; // items carried along
}
