/** The keyboard on a grid: walk from run to run, move one, change its limit, put it down. */

import { tick } from 'svelte';
import { clock as time, day, duration } from '../../core/format';
import { prefs } from '../../core/prefs.svelte';
import { addDays } from '../../core/time';
import type { Carry, Drop } from '../carry.svelte';
import type { DragMode, Target } from '../timeline/drag';
import type { Placed } from '../timeline/layout';
import type { Entry } from './grid.svelte';
import { STEP } from './gridGestures.svelte';
import { dateOf, type GridName } from './period';

export interface KeyHost {
  readonly carry: Carry;
  view(): GridName;
  entries(): readonly Entry[];
  placed(id: string): Placed | undefined;
  root(): HTMLElement | undefined;
  onopen(id: string): void;
  ondialog(placed: Placed): void;
  ondrop(drop: Drop): void;
  /** What is carried stands elsewhere now: bring that into sight. */
  onshift(target: Target): void;
  say(text: string): void;
}

export class GridKeys {
  /** The item that the Tab key comes to. */
  focused = $state<string | null>(null);
  #days = 0;
  #steps = 0;

  constructor(private readonly host: KeyHost) {}

  get #carried(): Placed | null {
    const { carry } = this.host;
    return carry.by === 'keys' ? carry.placed : null;
  }

  /** True when the key was meant for an item; what is carried need not be in sight. */
  onkeydown(event: KeyboardEvent): boolean {
    const id = (event.target as HTMLElement).dataset['bar'];
    const carried = this.#carried;
    const placed = carried ?? (id ? this.host.placed(id) : undefined);
    if (!placed || event.ctrlKey || event.metaKey) return false;
    const done = event.key.startsWith('Arrow')
      ? this.#arrow(event, placed, carried !== null)
      : this.#other(event, placed, carried !== null);
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
    if (!event.altKey && !carrying) this.#go(placed.id, step, across);
    else this.#shift(placed, event.shiftKey, step, across);
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
    this.#count(mode === 'move', step, across);
    const days = addDays(placed.start, this.#days, prefs.zone) - placed.start;
    carry.shiftTo(days + this.#steps * STEP, undefined, this.#steps === 0);
    if (!carry.target) return;
    this.host.onshift(carry.target);
    this.#tell(placed, mode, carry.target);
  }

  /** A quarter of an hour up and down, a day across; of a month a week and a day. */
  #count(moves: boolean, step: number, across: boolean): void {
    const isMonth = this.host.view() === 'month';
    if (!moves || !(across || isMonth)) this.#steps += step;
    else this.#days += isMonth && !across ? 7 * step : step;
  }

  #tell(placed: Placed, mode: DragMode, target: Target): void {
    const { agent } = placed.item;
    const edge = mode === 'move' ? target.start : target.end;
    const where = `${day(edge, prefs.zone)} ${time(edge, prefs.zone)}`;
    const length = mode === 'move' ? '' : `, after ${duration(edge - target.start)}`;
    this.host.say(
      `${agent} ${mode === 'move' ? 'starts' : 'ends'} ${where}${length}. ` +
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
