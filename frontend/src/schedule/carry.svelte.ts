/** A run that has been picked up, by pointer or by keys, and is not put down yet. */

import { prefs } from '../core/prefs.svelte';
import {
  movedBy,
  refusal,
  resizedBy,
  type DragMode,
  type Target,
} from './timeline/drag';
import type { Placed } from './timeline/layout';
import { snapMs } from './timeline/window';
import { Verdict, type Refusal } from './verdict.svelte';
import type { TimelineView } from './view.svelte';

/** Held by a pointer or the keys; or picked, and the next click says where it goes. */
type By = 'pointer' | 'keys' | 'pick';

export interface Drop {
  readonly placed: Placed;
  readonly target: Target;
  readonly baseVersion: Promise<number | undefined>;
  readonly refusal: Promise<Refusal | null>;
  readonly leads: () => boolean; // known once the refusal is
}

export class Carry {
  placed = $state.raw<Placed | null>(null);
  target = $state.raw<Target | null>(null);
  mode = $state<DragMode>('move');
  by = $state<By>('pointer');
  verdict = $state.raw(new Verdict());
  #steps = 0;

  constructor(
    private readonly view: Pick<TimelineView, 'scale'>,
    private readonly rowsAreNodes: () => boolean,
  ) {}

  /** Null when it was picked up, else why it cannot be. */
  pickUp(placed: Placed, mode: DragMode, by: By): string | null {
    const why = refusal(placed, mode);
    if (why) return why;
    this.placed = placed;
    this.mode = mode;
    this.by = by;
    this.#steps = 0;
    this.target = { start: placed.start, end: placed.end, row: placed.item.row };
    this.verdict.begin(placed, this.rowsAreNodes());
    return null;
  }

  /** Moves (or resizes) by this much from where it was picked up. */
  shiftTo(byMs: number, row?: string, fine = false): void {
    const placed = this.placed;
    if (!placed) return;
    const from = { start: placed.start, end: placed.end, row: placed.item.row };
    const step = fine ? 60_000 : snapMs(this.view.scale.pxPerMs);
    const target =
      this.mode === 'move'
        ? movedBy(from, byMs, step, prefs.zone, this.rowsAreNodes() ? row : undefined)
        : resizedBy(from, byMs, step, prefs.zone);
    if (this.target && same(this.target, target)) return;
    this.target = target;
    this.verdict.consider(target);
  }

  shiftSteps(steps: number): void {
    this.#steps += steps;
    this.shiftTo(this.#steps * snapMs(this.view.scale.pxPerMs), this.target?.row);
  }

  toRow(row: string): void {
    if (!this.target || !this.rowsAreNodes()) return;
    this.target = { ...this.target, row };
    this.verdict.consider(this.target);
  }

  /** Ends the carrying; null when nothing was changed. */
  putDown(): Drop | null {
    const { placed, target } = this;
    if (!placed || !target) return null;
    const baseVersion = this.verdict.baseVersion();
    const still = { start: placed.start, end: placed.end, row: placed.item.row };
    if (same(still, target)) {
      this.cancel();
      return null;
    }
    const { verdict } = this;
    const refusal = verdict.lastWord();
    this.verdict = new Verdict(); // the former still waits for its answer
    this.cancel();
    return { placed, target, baseVersion, refusal, leads: () => verdict.leads };
  }

  cancel(): void {
    this.placed = null;
    this.target = null;
    this.verdict.clear();
  }
}

const same = (a: Target, b: Target): boolean =>
  a.start === b.start && a.end === b.end && a.row === b.row;
