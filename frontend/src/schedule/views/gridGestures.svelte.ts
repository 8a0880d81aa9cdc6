/** Mouse and finger on a grid: drag a run, pull its end, draw an empty stretch for a new
 * one. A finger rests on it first, since one that moves at once wants to scroll; lifted
 * where it rested, the run is picked, and the next tap says where it goes. */

import { addDays, MINUTE, snapTo } from '../../core/time';
import { prefs } from '../../core/prefs.svelte';
import type { Carry, Drop } from '../carry.svelte';
import { edgeSpeed, type DragMode } from '../timeline/drag';
import type { Placed } from '../timeline/layout';
import type { GridName } from './period';
import type { Surface } from './surface';

const THRESHOLD_PX = 4;
const GRIP_PX = 6;
const LONG_PRESS_MS = 380;
const HEAD_PX = 40; // the names of the days stay above what scrolls
export const STEP = 15 * MINUTE;

export interface Stretch {
  readonly from: number;
  readonly to: number;
}

export interface GestureHost {
  readonly carry: Carry;
  readonly surface: Surface;
  view(): GridName;
  scroller(): HTMLElement | null;
  placed(id: string): Placed | undefined;
  ondrop(drop: Drop): void;
  onrefused(why: string): void;
  oncreate(stretch: Stretch): void;
  onpick(placed: Placed): void;
}

interface Press {
  readonly pointer: number;
  readonly touch: boolean;
  readonly placed: Placed | null; // null: an empty stretch
  readonly mode: DragMode;
  readonly at: number; // the instant it was taken at
  readonly x: number;
  readonly y: number;
  dragging: boolean;
  moved: boolean;
  fine: boolean;
  lastX: number;
  lastY: number;
}

export class GridGestures {
  /** An empty stretch being drawn. */
  drawn = $state.raw<Stretch | null>(null);
  /** A click that ends a drag opens nothing. */
  justDragged = false;
  #press: Press | null = null;
  #longPress: ReturnType<typeof setTimeout> | undefined;
  #frame = 0;

  constructor(private readonly host: GestureHost) {}

  get dragging(): boolean {
    return this.#press?.dragging ?? false;
  }

  down(event: PointerEvent): void {
    this.justDragged = false;
    if (event.button !== 0 || this.#press) return;
    const target = event.target as HTMLElement;
    const bar = target.closest<HTMLElement>('[data-bar]');
    const placed = this.host.placed(bar?.dataset['bar'] ?? '') ?? null;
    const empty = target.closest('.ec-body .ec-day') !== null;
    const { clientX: x, clientY: y } = event;
    const at = this.host.surface.at(x, y);
    if (this.host.view() === 'list' || at === null || (!placed && !empty)) return;
    const touch = event.pointerType === 'touch';
    const press: Press = {
      ...{ pointer: event.pointerId, touch, placed, mode: this.#modeAt(bar, y) },
      ...{ at, x, y, dragging: false, moved: false, fine: event.shiftKey },
      ...{ lastX: x, lastY: y },
    };
    this.#press = press;
    if (touch) this.#longPress = setTimeout(() => this.#start(press), LONG_PRESS_MS);
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
    if (far > THRESHOLD_PX) {
      press.moved = true;
      if (!press.dragging && press.touch) return this.abandon();
      if (!press.dragging && !this.#start(press)) return;
    }
    if (press.dragging) this.#follow(press);
  }

  up(event: PointerEvent): void {
    const press = this.#press;
    if (press?.pointer !== event.pointerId) return;
    this.#end();
    if (!press.dragging) return;
    this.justDragged = true;
    if (!press.placed) {
      const drawn = this.drawn;
      this.drawn = null;
      if (drawn) this.host.oncreate(drawn);
      return;
    }
    if (press.touch && !press.moved) {
      this.host.carry.cancel();
      return this.host.onpick(press.placed);
    }
    const drop = this.host.carry.putDown();
    if (drop) this.host.ondrop(drop);
  }

  abandon(): void {
    if (this.dragging) {
      this.justDragged = true;
      if (this.#press?.placed) this.host.carry.cancel();
    }
    this.drawn = null;
    this.#end();
  }

  #end(): void {
    clearTimeout(this.#longPress);
    cancelAnimationFrame(this.#frame);
    this.#press = null;
  }

  #start(press: Press): boolean {
    if (press.placed) {
      const why = this.host.carry.pickUp(press.placed, press.mode, 'pointer');
      if (why) {
        this.#end();
        this.justDragged = true;
        this.host.onrefused(why);
        return false;
      }
    } else this.#draw(press, press.at);
    press.dragging = true;
    this.#frame = requestAnimationFrame(this.#scrollAtEdge);
    return true;
  }

  #follow(press: Press): void {
    const at = this.host.surface.at(press.lastX, press.lastY);
    if (at === null) return;
    if (press.placed) this.carryTo(press.placed, press.at, at, press.fine);
    else this.#draw(press, at);
  }

  /** Carries a run that was taken at one instant to another; in a month, day by day. */
  carryTo(placed: Placed, from: number, at: number, fine: boolean): void {
    const { carry } = this.host;
    if (this.host.view() !== 'month') return carry.shiftTo(at - from, undefined, fine);
    const days = Math.round((at - from) / 86_400_000);
    const start = addDays(placed.start, days, prefs.zone);
    carry.shiftTo(start - placed.start, undefined, true);
  }

  #draw(press: Press, at: number): void {
    const snap = (one: number) =>
      this.host.view() === 'month' ? one : snapTo(one, STEP, prefs.zone);
    const [from, to] = [snap(Math.min(press.at, at)), snap(Math.max(press.at, at))];
    this.drawn = { from, to: Math.max(to, from) };
  }

  #scrollAtEdge = (): void => {
    const press = this.#press;
    const element = this.host.scroller();
    if (!press?.dragging || !element) return;
    const box = element.getBoundingClientRect();
    const dy = edgeSpeed(press.lastY - box.top - HEAD_PX, box.height - HEAD_PX);
    const wide = element.scrollWidth > element.clientWidth;
    const dx = wide
      ? edgeSpeed(press.lastX - box.left - HEAD_PX, box.width - HEAD_PX)
      : 0;
    if (press.moved && (dx || dy) && this.host.view() !== 'month') {
      element.scrollTop += dy;
      element.scrollLeft += dx;
      this.#follow(press);
    }
    this.#frame = requestAnimationFrame(this.#scrollAtEdge);
  };
}
