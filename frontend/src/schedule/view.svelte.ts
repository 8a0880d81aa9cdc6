/** The part of time in sight: zoom, place and size, shared by timeline and capacity strip. */

import { tick } from 'svelte';
import {
  instantAt,
  nearsEnd,
  scaleAround,
  xOf,
  zoomMs,
  type Scale,
  type Zoom,
} from './timeline/window';

/** When the timeline is opened at "now", this much of it shows the past. */
const NOW_AT = 0.3;

export class TimelineView {
  zoom = $state<Zoom>('1d');
  scale = $state.raw<Scale>(scaleAround(0, 1, 1));
  scrollPx = $state(0);
  topPx = $state(0);
  viewPx = $state(0); // width of the part that shows time
  heightPx = $state(0);
  labelPx = $state(196);

  from = $derived(instantAt(this.scale, this.scrollPx));
  to = $derived(instantAt(this.scale, this.scrollPx + this.viewPx));
  element: HTMLElement | null = null;

  get spanMs(): number {
    return zoomMs(this.zoom);
  }

  x(at: number): number {
    return xOf(this.scale, at);
  }

  /** Shows the time from `leftMs` on. */
  goTo(leftMs: number): void {
    if (this.viewPx <= 0) return;
    this.scale = scaleAround(leftMs, this.spanMs, this.viewPx);
    this.#scrollTo(leftMs);
  }

  goToNow(now: number): void {
    this.goTo(now - NOW_AT * this.spanMs);
  }

  page(step: -1 | 1): void {
    this.goTo(this.from + step * this.spanMs * 0.8);
  }

  /** Changes the zoom and keeps the instant at `anchorPx` where it is. */
  zoomTo(zoom: Zoom, anchorPx = this.viewPx / 2): void {
    const anchor = instantAt(this.scale, this.scrollPx + anchorPx);
    this.zoom = zoom;
    this.goTo(anchor - (anchorPx / this.viewPx) * this.spanMs);
  }

  /** Where a change of zoom without a pointer holds fast: at now if that is in sight. */
  anchorPx(now: number): number {
    const inSight = this.from < now && now < this.to;
    return inSight ? this.x(now) - this.scrollPx : this.viewPx / 2;
  }

  resize(width: number, height: number): void {
    const from = this.from;
    const first = this.viewPx === 0;
    this.heightPx = height;
    const viewPx = Math.max(50, width - this.labelPx);
    if (viewPx === this.viewPx) return;
    this.viewPx = viewPx;
    if (!first) this.goTo(from);
  }

  onscroll(): void {
    if (!this.element) return;
    this.scrollPx = this.element.scrollLeft;
    this.topPx = this.element.scrollTop;
  }

  /** When scrolling has come to rest near an end, moves the middle of the canvas here. */
  onrest(): void {
    if (nearsEnd(this.scale, this.scrollPx, this.viewPx)) this.goTo(this.from);
  }

  /** Brings an instant and a height into sight. */
  reveal(at: number, topPx: number, rowPx: number): void {
    const x = this.x(at) - this.scrollPx;
    if (x < 0 || x > this.viewPx - 60) this.goTo(at - this.spanMs * NOW_AT);
    if (!this.element) return;
    const below = topPx + rowPx - (this.topPx + this.heightPx - 60);
    if (topPx < this.topPx) this.element.scrollTop = topPx;
    else if (below > 0) this.element.scrollTop = this.topPx + below;
  }

  #scrollTo(leftMs: number): void {
    const px = xOf(this.scale, leftMs);
    this.scrollPx = px;
    void tick().then(() => {
      if (this.element) this.element.scrollLeft = px;
    });
  }
}
