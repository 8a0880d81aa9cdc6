/** The mouse on a grid: drag a run, pull its end, or draw an empty stretch for a new one. */

import { addDays } from '../../core/time';
import { prefs } from '../../core/prefs.svelte';
import type { Carry, Drop } from '../carry.svelte';
import { edgeSpeed, type DragMode } from '../timeline/drag';
import type { Placed } from '../timeline/layout';
import type { GridName } from './period';
import type { Surface } from './surface';

const THRESHOLD_PX = 4;
const GRIP_PX = 6;

export interface GestureHost {
  readonly carry: Carry;
  readonly surface: Surface;
  view(): GridName;
  scroller(): HTMLElement | null;
  placed(id: string): Placed | undefined;
  ondrop(drop: Drop): void;
  onrefused(why: string): void;
  oncreate(from: number): void;
}

interface Press {
  readonly pointer: number;
  readonly placed: Placed | null; // null: an empty stretch
  readonly mode: DragMode;
  readonly at: number; // the instant it was taken at
  readonly x: number;
  readonly y: number;
  dragging: boolean;
  fine: boolean;
  lastX: number;
  lastY: number;
}

export class GridGestures {
  /** An empty stretch being drawn. */
  drawn = $state.raw<{ from: number; to: number } | null>(null);
  /** A click that ends a drag opens nothing. */
  justDragged = false;
  #press: Press | null = null;
  #frame = 0;

  constructor(private readonly host: GestureHost) {}

  get dragging(): boolean {
    return this.#press?.dragging ?? false;
  }

  down(event: PointerEvent): void {
    this.justDragged = false;
    if (event.button !== 0 || event.pointerType === 'touch') return;
    const target = event.target as HTMLElement;
    const bar = target.closest<HTMLElement>('[data-bar]');
    const placed = this.host.placed(bar?.dataset['bar'] ?? '') ?? null;
    const empty = target.closest('.ec-body .ec-day') !== null;
    const { clientX: x, clientY: y } = event;
    const at = this.host.surface.at(x, y);
    if (this.host.view() === 'list' || at === null || (!placed && !empty)) return;
    const mode = this.#modeAt(bar, y);
    this.#press = {
      ...{ pointer: event.pointerId, placed, mode, at, x, y },
      ...{ dragging: false, fine: event.shiftKey, lastX: x, lastY: y },
    };
  }

  #modeAt(bar: HTMLElement | null, y: number): DragMode {
    const box = bar?.getBoundingClientRect();
    if (!box || this.host.view() === 'month') return 'move';
    return box.height > 3 * GRIP_PX && box.bottom - y < GRIP_PX ? 'resize' : 'move';
  }

  move(event: PointerEvent): void {
    const press = this.#press;
    if (press?.pointer !== event.pointerId) return;
    [press.lastX, press.lastY] = [event.clientX, event.clientY];
    press.fine = event.shiftKey;
    const far = Math.hypot(press.lastX - press.x, press.lastY - press.y);
    if (!press.dragging && far > THRESHOLD_PX && !this.#start(press)) return;
    if (press.dragging) this.#follow(press);
  }

  up(event: PointerEvent): void {
    const press = this.#press;
    if (press?.pointer !== event.pointerId) return;
    this.#press = null;
    cancelAnimationFrame(this.#frame);
    if (!press.dragging) return;
    this.justDragged = true;
    if (!press.placed) {
      const from = this.drawn?.from;
      this.drawn = null;
      if (from !== undefined) this.host.oncreate(from);
      return;
    }
    const drop = this.host.carry.putDown();
    if (drop) this.host.ondrop(drop);
  }

  abandon(): void {
    if (this.dragging) {
      this.justDragged = true;
      if (this.#press?.placed) this.host.carry.cancel();
    }
    cancelAnimationFrame(this.#frame);
    this.drawn = null;
    this.#press = null;
  }

  #start(press: Press): boolean {
    if (press.placed) {
      const why = this.host.carry.pickUp(press.placed, press.mode, 'pointer');
      if (why) {
        this.#press = null;
        this.justDragged = true;
        this.host.onrefused(why);
        return false;
      }
    }
    press.dragging = true;
    this.#frame = requestAnimationFrame(this.#scrollAtEdge);
    return true;
  }

  #follow(press: Press): void {
    const { surface, carry } = this.host;
    const at = surface.at(press.lastX, press.lastY);
    if (at === null) return;
    if (!press.placed) {
      this.drawn = { from: Math.min(press.at, at), to: Math.max(press.at, at) };
      return;
    }
    if (this.host.view() === 'month') {
      const days = Math.round((at - press.at) / 86_400_000);
      const start = press.placed.start;
      carry.shiftTo(addDays(start, days, prefs.zone) - start, undefined, true);
    } else carry.shiftTo(at - press.at, undefined, press.fine);
  }

  #scrollAtEdge = (): void => {
    const press = this.#press;
    const element = this.host.scroller();
    if (!press?.dragging || !element) return;
    const box = element.getBoundingClientRect();
    const dy = edgeSpeed(press.lastY - box.top - 40, box.height - 40);
    if (dy && this.host.view() !== 'month') {
      element.scrollTop += dy;
      this.#follow(press);
    }
    this.#frame = requestAnimationFrame(this.#scrollAtEdge);
  };
}
