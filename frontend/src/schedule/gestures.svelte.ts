/** The pointer on the timeline: press, drag, scroll at the edges, long press on a phone. */

import type { Carry, Drop } from './carry.svelte';
import { edgeSpeed, type DragMode } from './timeline/drag';
import type { Placed } from './timeline/layout';
import type { Box } from './timeline/select';
import { rowAt } from './timeline/window';
import type { TimelineView } from './view.svelte';

const THRESHOLD_PX = 4;
const GRIP_PX = 7; // the right end of a bar changes its length
const LEAST_GRIPPED_PX = 14; // a narrower bar can only be moved
const LONG_PRESS_MS = 380;

export interface GestureHost {
  readonly view: TimelineView;
  readonly carry: Carry;
  placedAt(target: EventTarget | null): Placed | null;
  rowIdAt(index: number): string | undefined;
  tops(): Float64Array;
  headPx: number;
  ondrop(drop: Drop): void;
  onrefused(why: string): void;
  /** Whether a drag over empty space draws a frame without the Shift key. */
  framing(): boolean;
  onframe(box: Box): void;
}

interface Press {
  readonly id: number;
  readonly placed: Placed;
  readonly mode: DragMode;
  readonly startX: number;
  readonly startY: number;
  readonly startScroll: number;
  x: number;
  y: number;
  fine: boolean;
  dragging: boolean;
  refused: boolean;
}

export class Gestures {
  #press: Press | null = null;
  #longPress: ReturnType<typeof setTimeout> | undefined;
  #frame = 0;
  /** What is being framed to be chosen. */
  frame = $state.raw<Box | null>(null);
  #corner: { id: number; at: number; y: number } | null = null;
  /** A click that ends a drag is not a click on the bar. */
  justDragged = false;

  constructor(private readonly host: GestureHost) {}

  get dragging(): boolean {
    return this.#corner !== null || (this.#press?.dragging ?? false);
  }

  down(event: PointerEvent): void {
    this.justDragged = false;
    const placed = this.host.placedAt(event.target);
    if (event.button !== 0 || this.#press) return;
    if (!placed) return this.#beginFrame(event);
    const box = (event.target as Element)
      .closest('[data-bar]')
      ?.getBoundingClientRect();
    const grip = Math.min(GRIP_PX, (box?.width ?? 0) / 3);
    const atEnd =
      box && box.width > LEAST_GRIPPED_PX && box.right - event.clientX < grip;
    this.#press = {
      id: event.pointerId,
      placed,
      mode: atEnd ? 'resize' : 'move',
      startX: event.clientX,
      startY: event.clientY,
      startScroll: this.host.view.scrollPx,
      x: event.clientX,
      y: event.clientY,
      fine: event.shiftKey,
      dragging: false,
      refused: false,
    };
    if (event.pointerType === 'touch') {
      this.#longPress = setTimeout(() => this.#start(event.pointerId), LONG_PRESS_MS);
    }
  }

  move(event: PointerEvent): void {
    if (this.#corner?.id === event.pointerId) return this.#stretch(event);
    const press = this.#press;
    if (!press || press.id !== event.pointerId) return;
    [press.x, press.y, press.fine] = [event.clientX, event.clientY, event.shiftKey];
    const far =
      Math.hypot(press.x - press.startX, press.y - press.startY) > THRESHOLD_PX;
    if (!press.dragging && far) {
      // A finger that moves before the long press is over wants to scroll.
      if (event.pointerType === 'touch') return this.abandon();
      this.#start(event.pointerId);
    }
    if (press.dragging) this.#follow();
  }

  up(event: PointerEvent): void {
    if (this.#corner?.id === event.pointerId) return this.#endFrame(true);
    const press = this.#press;
    if (!press || press.id !== event.pointerId) return;
    const { dragging } = press;
    this.#end();
    if (!dragging) return;
    this.justDragged = true;
    const drop = this.host.carry.putDown();
    if (drop) this.host.ondrop(drop);
  }

  /** Leaves everything as it was. */
  abandon(): void {
    this.#endFrame(false);
    if (this.#press?.dragging) {
      this.host.carry.cancel();
      this.justDragged = true;
    }
    this.#end();
  }

  #beginFrame(event: PointerEvent): void {
    const { view } = this.host;
    if (!view.element || !(event.shiftKey || this.host.framing())) return;
    event.preventDefault();
    this.#corner = { id: event.pointerId, ...this.#spot(event) };
    view.element.setPointerCapture(event.pointerId);
  }

  /** The instant and the height below the head that the pointer is at. */
  #spot(event: PointerEvent): { at: number; y: number } {
    const { view } = this.host;
    const box = view.element?.getBoundingClientRect();
    const px = event.clientX - (box?.left ?? 0) - view.labelPx;
    const y = event.clientY - (box?.top ?? 0) - this.host.headPx + view.topPx;
    return { at: view.from + px / view.scale.pxPerMs, y };
  }

  #stretch(event: PointerEvent): void {
    const [one, other] = [this.#corner, this.#spot(event)];
    if (!one) return;
    this.frame = {
      from: Math.min(one.at, other.at),
      to: Math.max(one.at, other.at),
      topPx: Math.max(0, Math.min(one.y, other.y)),
      bottomPx: Math.max(one.y, other.y),
    };
  }

  #endFrame(choose: boolean): void {
    const [frame, corner] = [this.frame, this.#corner];
    this.frame = this.#corner = null;
    if (!corner) return;
    const { element } = this.host.view;
    if (element?.hasPointerCapture(corner.id)) element.releasePointerCapture(corner.id);
    if (!frame) return;
    this.justDragged = true;
    if (choose) this.host.onframe(frame);
  }

  #end(): void {
    clearTimeout(this.#longPress);
    cancelAnimationFrame(this.#frame);
    const { element } = this.host.view;
    if (this.#press && element?.hasPointerCapture(this.#press.id)) {
      element.releasePointerCapture(this.#press.id);
    }
    this.#press = null;
  }

  #start(pointerId: number): void {
    const press = this.#press;
    if (!press || press.refused) return;
    const why = this.host.carry.pickUp(press.placed, press.mode, 'pointer');
    if (why) {
      press.refused = true;
      this.justDragged = true;
      this.host.onrefused(why);
      return;
    }
    press.dragging = true;
    // On the scrolling element: the bar itself may leave the window and the document.
    this.host.view.element?.setPointerCapture(pointerId);
    this.#frame = requestAnimationFrame(this.#scrollAtEdge);
  }

  #follow(): void {
    const press = this.#press;
    const { view, carry } = this.host;
    const box = view.element?.getBoundingClientRect();
    if (!press || !box) return;
    const px = press.x - press.startX + (view.scrollPx - press.startScroll);
    const y = press.y - box.top - this.host.headPx + view.topPx;
    const row = this.host.rowIdAt(rowAt(this.host.tops(), y));
    carry.shiftTo(px / view.scale.pxPerMs, row, press.fine);
  }

  #scrollAtEdge = (): void => {
    const press = this.#press;
    const { view } = this.host;
    const element = view.element;
    if (!press?.dragging || !element) return;
    const box = element.getBoundingClientRect();
    const dx = edgeSpeed(press.x - box.left - view.labelPx, view.viewPx);
    const dy = edgeSpeed(
      press.y - box.top - this.host.headPx,
      box.height - this.host.headPx,
    );
    if (dx || dy) {
      element.scrollLeft += dx;
      element.scrollTop += dy;
      view.onscroll();
      this.#follow();
    }
    this.#frame = requestAnimationFrame(this.#scrollAtEdge);
  };
}
