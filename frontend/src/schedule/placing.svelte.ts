/** An agent on its way from the palette (or a row's name) onto the timeline or days. */

import { snapTo } from '../core/time';
import { prefs } from '../core/prefs.svelte';
import { instantAt, snapMs } from './timeline/window';
import type { TimelineView } from './view.svelte';

interface Spot {
  readonly at: number;
  readonly x: number; // in the window
  readonly y: number;
}

const THRESHOLD_PX = 5;

export class Placing {
  agent = $state<string | null>(null);
  /** Picked with a click: the next click on the timeline puts it there. */
  armed = $state(false);
  spot = $state.raw<Spot | null>(null);
  pointer = $state.raw<{ x: number; y: number } | null>(null);
  /** What lies under the pointer where a calendar's days are shown in place of it. */
  ground = $state.raw<((x: number, y: number) => Spot | null) | null>(null);

  constructor(
    private readonly view: TimelineView,
    private readonly onplace: (agent: string, at: number) => void,
  ) {}

  /** Follows the pointer from here on; a press without a drag arms instead, or does `onpress`. */
  begin(event: PointerEvent, agent: string, onpress: () => void): void {
    if (event.button !== 0) return;
    const { clientX, clientY, pointerId } = event;
    let dragging = false;
    const move = (next: PointerEvent) => {
      if (next.pointerId !== pointerId) return;
      const far = Math.hypot(next.clientX - clientX, next.clientY - clientY);
      if (!dragging && far < THRESHOLD_PX) return;
      dragging = true;
      this.agent = agent;
      this.hover(next.clientX, next.clientY);
    };
    const stop = (next: Event) => {
      removeEventListener('pointermove', move);
      removeEventListener('pointerup', stop);
      removeEventListener('pointercancel', stop);
      removeEventListener('keydown', escape);
      const dropped = next.type === 'pointerup' && dragging;
      if (!dragging && next.type === 'pointerup') return onpress();
      const spot = this.spot;
      this.cancel();
      if (dropped && spot) this.onplace(agent, spot.at);
    };
    const escape = (key: KeyboardEvent) => {
      if (key.key === 'Escape') stop(key);
    };
    addEventListener('pointermove', move);
    addEventListener('pointerup', stop);
    addEventListener('pointercancel', stop);
    addEventListener('keydown', escape);
  }

  arm(agent: string): void {
    this.agent = agent;
    this.armed = true;
  }

  hover(x: number, y: number): void {
    this.pointer = { x, y };
    this.spot = this.#spotAt(x, y);
  }

  put(x: number, y: number): void {
    const [agent, spot] = [this.agent, this.#spotAt(x, y)];
    this.cancel();
    if (agent && spot) this.onplace(agent, spot.at);
  }

  cancel(): void {
    this.agent = null;
    this.armed = false;
    this.spot = null;
    this.pointer = null;
  }

  #spotAt(x: number, y: number): Spot | null {
    if (this.ground) return this.ground(x, y);
    const box = this.view.element?.getBoundingClientRect();
    if (!box) return null;
    const px = x - box.left - this.view.labelPx;
    if (px < 0 || x > box.right || y < box.top || y > box.bottom) return null;
    const raw = instantAt(this.view.scale, this.view.scrollPx + px);
    const at = snapTo(raw, snapMs(this.view.scale.pxPerMs), prefs.zone);
    return {
      at,
      x: box.left + this.view.labelPx + this.view.x(at) - this.view.scrollPx,
      y,
    };
  }
}
