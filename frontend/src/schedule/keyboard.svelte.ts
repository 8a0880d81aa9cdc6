/** The keyboard on the timeline: walk among the runs, pick one up, put it down. */

import { tick } from 'svelte';
import type { TimelineRow } from '../api/types';
import { clock as time, day } from '../core/format';
import { prefs } from '../core/prefs.svelte';
import type { Carry, Drop } from './carry.svelte';
import type { TimelineStore } from './store.svelte';
import { keyAct, type KeyAct } from './timeline/keys';
import type { Placed } from './timeline/layout';
import { isPassed } from './timeline/passed';
import type { TimelineView } from './view.svelte';

export interface KeyboardHost {
  readonly store: TimelineStore;
  readonly view: TimelineView;
  readonly carry: Carry;
  rows(): readonly TimelineRow[];
  tops(): Float64Array;
  onopen(id: string): void;
  ondialog(placed: Placed): void;
  ondrop(drop: Drop): void;
  say(text: string): void;
  onchoose(placed: Placed): void;
}

export class Keyboard {
  /** The bar that the Tab key comes to. */
  focused = $state<string | null>(null);

  constructor(private readonly host: KeyboardHost) {}

  onkeydown(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const rowId = target.dataset['row'];
    if (rowId !== undefined) return this.#onLabel(event, rowId);
    const placed = this.host.store.get(target.dataset['bar'] ?? '');
    if (!placed) return;
    const carrying = this.host.carry.by === 'keys' && this.host.carry.placed !== null;
    const act = keyAct(event, carrying);
    if (!act) return;
    event.preventDefault();
    this.focused = placed.id;
    this.#do(act, placed);
  }

  #do(act: KeyAct, placed: Placed): void {
    const { carry } = this.host;
    if (act.kind === 'go') this.#go(act.to, placed);
    else if (act.kind === 'shift') this.#shift(placed, act.mode, act.steps);
    else if (act.kind === 'row') this.#otherRow(act.step);
    else if (act.kind === 'open') this.host.onopen(placed.id);
    else if (act.kind === 'choose') {
      if (isPassed(placed.state)) this.host.onopen(placed.id);
      else this.host.onchoose(placed);
    } else if (act.kind === 'dialog') this.host.ondialog(placed);
    else if (act.kind === 'cancel') {
      carry.cancel();
      this.host.say(`${placed.item.agent} stays where it was.`);
    } else if (act.kind === 'drop') {
      const drop = carry.putDown();
      if (drop) this.host.ondrop(drop);
      else this.host.say('Nothing was changed.');
    }
  }

  #shift(placed: Placed, mode: 'move' | 'resize', steps: number): void {
    const { carry, view } = this.host;
    if (carry.placed?.id !== placed.id || carry.mode !== mode) {
      const why = carry.pickUp(placed, mode, 'keys');
      if (why) return this.host.say(why);
    }
    carry.shiftSteps(steps);
    const target = carry.target;
    if (!target) return;
    const edge = mode === 'move' ? target.start : target.end;
    view.reveal(edge, this.#topOf(target.row), 30);
    const verb = mode === 'move' ? 'starts' : 'ends';
    const where = `${day(edge, prefs.zone)} ${time(edge, prefs.zone)}`;
    this.host.say(
      `${placed.item.agent} ${verb} ${where}. Enter puts it there, Escape leaves it.`,
    );
  }

  #otherRow(step: -1 | 1): void {
    const { carry } = this.host;
    if (!carry.target) return;
    const rows = this.host.rows();
    const at = rows.findIndex((row) => row.id === carry.target?.row) + step;
    const row = rows[at];
    if (!row) return;
    carry.toRow(row.id);
    this.host.say(
      carry.target.row === row.id ? `On ${row.title}` : 'It stays in its row.',
    );
  }

  #go(to: 'left' | 'right' | 'up' | 'down', placed: Placed): void {
    const { index } = this.host.store;
    if (to === 'right' || to === 'left') {
      const next = index.neighbour(placed.id, to === 'right' ? 1 : -1);
      if (next) this.focus(next);
      else if (to === 'left') this.#focusLabel(placed.item.row);
      return;
    }
    const rows = this.host.rows();
    const step = to === 'down' ? 1 : -1;
    let at = rows.findIndex((row) => row.id === placed.item.row) + step;
    for (; rows[at]; at += step) {
      const next = index.nearest(rows[at]?.id ?? '', placed.start);
      if (next) return this.focus(next);
    }
  }

  #onLabel(event: KeyboardEvent, rowId: string): void {
    const rows = this.host.rows();
    const at = rows.findIndex((row) => row.id === rowId);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const { store, view } = this.host;
    if (step) this.#focusLabel(rows[at + step]?.id);
    else if (event.key === 'ArrowRight') {
      const inSight = store.index.visible(rowId, view.from, view.to)[0];
      const next = inSight ?? store.index.nearest(rowId, view.from);
      if (next) this.focus(next);
    } else return;
    event.preventDefault();
  }

  focus(placed: Placed): void {
    this.focused = placed.id;
    this.host.view.reveal(placed.start, this.#topOf(placed.item.row), 30);
    this.#focusSoon(`[data-bar="${CSS.escape(placed.id)}"]`);
  }

  #focusLabel(rowId: string | undefined): void {
    if (rowId === undefined) return;
    const { view } = this.host;
    view.reveal(view.from, this.#topOf(rowId), 30);
    this.#focusSoon(`[data-row="${CSS.escape(rowId)}"]`);
  }

  /** What is to be focused may be drawn only after the next scroll. */
  #focusSoon(selector: string): void {
    void tick().then(() => {
      requestAnimationFrame(() => {
        const { element } = this.host.view;
        const found = element?.querySelector<HTMLElement>(selector);
        found?.focus({ preventScroll: true });
      });
    });
  }

  #topOf(rowId: string): number {
    const at = this.host.rows().findIndex((row) => row.id === rowId);
    return this.host.tops()[Math.max(0, at)] ?? 0;
  }
}
