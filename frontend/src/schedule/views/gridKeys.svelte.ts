/** The keyboard on a grid: walk from run to run, move one, change its limit, put it down. */

import { tick } from 'svelte';
import { clock as time, day } from '../../core/format';
import { prefs } from '../../core/prefs.svelte';
import { addDays, MINUTE } from '../../core/time';
import type { Carry, Drop } from '../carry.svelte';
import type { DragMode, Target } from '../timeline/drag';
import type { Placed } from '../timeline/layout';
import type { Entry } from './grid.svelte';
import { dateOf, type GridName } from './period';

const STEP = 15 * MINUTE;

export interface KeyHost {
  readonly carry: Carry;
  view(): GridName;
  entries(): readonly Entry[];
  placed(id: string): Placed | undefined;
  root(): HTMLElement | undefined;
  onopen(id: string): void;
  ondialog(placed: Placed): void;
  ondrop(drop: Drop): void;
  say(text: string): void;
}

export class GridKeys {
  /** The item that the Tab key comes to. */
  focused = $state<string | null>(null);
  #days = 0;
  #steps = 0;

  constructor(private readonly host: KeyHost) {}

  /** True when the key was meant for an item. */
  onkeydown(event: KeyboardEvent): boolean {
    const id = (event.target as HTMLElement).dataset['bar'];
    const placed = id ? this.host.placed(id) : undefined;
    if (!placed || event.ctrlKey || event.metaKey) return false;
    const carrying = this.host.carry.by === 'keys' && this.host.carry.placed !== null;
    const done = event.key.startsWith('Arrow')
      ? this.#arrow(event, placed, carrying)
      : this.#other(event, placed, carrying);
    if (done) event.preventDefault();
    return done;
  }

  #other(event: KeyboardEvent, placed: Placed, carrying: boolean): boolean {
    const { carry } = this.host;
    if (event.key === 'Enter' && carrying) {
      const drop = carry.putDown();
      if (drop) this.host.ondrop(drop);
      else this.host.say('Nothing was changed.');
    } else if (event.key === 'Enter') this.host.onopen(placed.id);
    else if (event.key === 'Escape' && carrying) {
      carry.cancel();
      this.host.say(`${placed.item.agent} stays where it was.`);
    } else if (event.key === 'm' && !event.altKey) this.host.ondialog(placed);
    else return false;
    return true;
  }

  #arrow(event: KeyboardEvent, placed: Placed, carrying: boolean): boolean {
    const back = event.key === 'ArrowLeft' || event.key === 'ArrowUp';
    const across = event.key === 'ArrowLeft' || event.key === 'ArrowRight';
    const step = back ? -1 : 1;
    if (!event.altKey && !carrying) {
      this.#go(placed.id, step, across);
      return true;
    }
    if (this.host.view() === 'list') return false;
    this.#shift(placed, event.shiftKey, step, across);
    return true;
  }

  /** Up and down: the run before and after. Left and right: the nearest of another day. */
  #go(id: string, step: number, across: boolean): void {
    const entries = this.host.entries();
    let at = entries.findIndex((entry) => entry.id === id);
    const here = dateOf(entries[at]?.start ?? 0, prefs.zone);
    const byDay = across && ['week', 'month'].includes(this.host.view());
    do at += step;
    while (
      byDay &&
      entries[at] &&
      dateOf(entries[at]?.start ?? 0, prefs.zone) === here
    );
    while (entries[at] && !this.#button(entries[at]?.id ?? '')) at += step;
    const next = entries[at];
    if (next) this.focus(next.id);
  }

  #shift(placed: Placed, resize: boolean, step: number, across: boolean): void {
    const { carry } = this.host;
    const mode = resize ? 'resize' : 'move';
    if (carry.placed?.id !== placed.id || carry.mode !== mode) {
      const why = carry.pickUp(placed, mode, 'keys');
      if (why) return this.host.say(why);
      this.#days = this.#steps = 0;
    }
    const byDays =
      this.host.view() === 'month' || (across && this.host.view() !== 'day');
    if (byDays && mode === 'move') {
      this.#days += this.host.view() === 'month' && !across ? 7 * step : step;
    } else this.#steps += step;
    const days = addDays(placed.start, this.#days, prefs.zone) - placed.start;
    carry.shiftTo(days + this.#steps * STEP, undefined, this.#steps === 0);
    if (carry.target) this.#tell(placed, mode, carry.target);
  }

  /** A step across goes to another day, where the view shows several. */
  #count(moves: boolean, step: number, across: boolean): void {
    const view = this.host.view();
    const byDays = view === 'month' || (across && view !== 'day');
    if (!moves || !byDays) this.#steps += step;
    else this.#days += view === 'month' && !across ? 7 * step : step;
  }

  #tell(placed: Placed, mode: DragMode, target: Target): void {
    const edge = mode === 'move' ? target.start : target.end;
    const where = `${day(edge, prefs.zone)} ${time(edge, prefs.zone)}`;
    this.host.say(
      `${placed.item.agent} ${mode === 'move' ? 'starts' : 'ends'} ${where}. ` +
        'Enter puts it there, Escape leaves it.',
    );
  }

  #button(id: string): HTMLElement | null {
    const root = this.host.root();
    const found = root?.querySelector<HTMLElement>(`[data-bar="${CSS.escape(id)}"]`);
    // A month hides what has no room in its day.
    return found && getComputedStyle(found).visibility !== 'hidden' ? found : null;
  }

  focus(id: string): void {
    this.focused = id;
    void tick().then(() => this.#button(id)?.focus());
  }
}
