/** Who drags what right now: we tell the others, and know of theirs. Nothing is kept. */

import { SvelteMap } from 'svelte/reactivity';
import type { Group, PresenceFrame, WireDrag } from '../api/types';
import { session } from '../core/session.svelte';
import { iso } from '../core/time';
import { live } from './live.svelte';

export interface Drag {
  readonly item: string | null; // an occurrence or a run; null: a new one is being placed
  readonly agent: string;
  readonly mode: 'move' | 'resize' | 'create';
  readonly start: number;
  readonly end: number;
  readonly group: Group;
  readonly row: string;
  readonly count?: number; // items carried along
}

export interface Ghost {
  readonly who: string;
  readonly name: string;
  readonly hue: number;
  readonly drag: Drag;
}

const EVERY_MS = 100; // between two messages
const REPEAT_MS = 1000; // while something is held still
const SILENCE_MS = 3000; // somebody who says nothing for so long has stopped

class Presence {
  /** By connection: what others drag. */
  ghosts = new SvelteMap<string, Ghost>();
  #drag: Drag | null = null;
  #next: ReturnType<typeof setTimeout> | undefined;
  #saidAt = -Infinity;
  #forget = new Map<string, ReturnType<typeof setTimeout>>();

  /** Listens while something is shown that can be dragged. */
  start(): () => void {
    const stop = live.listen({
      onpresence: (frame) => this.#hear(frame),
      onresync: () => this.#clear(),
    });
    return () => {
      stop();
      this.end();
      this.#clear();
    };
  }

  /** What we drag stands here now. Call it as often as you like. */
  show(drag: Drag): void {
    if (!session.operates) return;
    this.#drag = drag;
    this.#plan(Math.max(0, this.#saidAt + EVERY_MS - performance.now()));
  }

  /** We have put it down, or let go of it. */
  end(): void {
    clearTimeout(this.#next);
    this.#next = undefined;
    if (this.#drag) live.say({ type: 'presence', drag: null });
    this.#drag = null;
    this.#saidAt = -Infinity;
  }

  #plan(waitMs: number): void {
    clearTimeout(this.#next);
    if (waitMs === 0) this.#say();
    else this.#next = setTimeout(() => this.#say(), waitMs);
  }

  #say(): void {
    if (!this.#drag) return;
    this.#saidAt = performance.now();
    live.say({ type: 'presence', drag: toWire(this.#drag) });
    this.#plan(REPEAT_MS);
  }

  #hear({ who, name, hue, drag }: PresenceFrame): void {
    clearTimeout(this.#forget.get(who));
    if (!drag) return this.#lose(who);
    this.ghosts.set(who, { who, name, hue, drag: fromWire(drag) });
    this.#forget.set(
      who,
      setTimeout(() => this.#lose(who), SILENCE_MS),
    );
  }

  #lose(who: string): void {
    this.#forget.delete(who);
    this.ghosts.delete(who);
  }

  #clear(): void {
    for (const timer of this.#forget.values()) clearTimeout(timer);
    this.#forget.clear();
    this.ghosts.clear();
  }
}

const toWire = (drag: Drag): WireDrag => ({
  ...drag,
  start: iso(drag.start),
  end: iso(drag.end),
});

const fromWire = (drag: WireDrag): Drag => ({
  ...drag,
  start: Date.parse(drag.start),
  end: Date.parse(drag.end),
});

export const presence = new Presence();
