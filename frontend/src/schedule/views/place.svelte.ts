/** Which view is open and on which day, as the address says. */

import { clock } from '../../core/clock.svelte';
import { iso } from '../../core/time';
import { prefs } from '../../core/prefs.svelte';
import { router } from '../../router.svelte';
import { dateOf, dayOf, periodOf, stepped, viewOf, type ViewName } from './period';

class Place {
  readonly view = $derived(viewOf(router.get('view')));
  readonly today = $derived(dayOf(null, prefs.zone, clock.now));
  readonly day = $derived(dayOf(router.get('date'), prefs.zone, this.today));
  readonly period = $derived(periodOf(this.view, this.day, prefs.zone));

  /** Opens a view, on a day or on that of the view before. */
  show(view: ViewName, day: number | null = null): void {
    const was = Date.parse(router.get('at') ?? '');
    const kept = Number.isNaN(was) ? this.day : was;
    const next = day ?? (this.view === 'timeline' ? kept : this.day);
    const date = dateOf(next, prefs.zone);
    const isToday = date === dateOf(this.today, prefs.zone);
    if (view === 'timeline') {
      router.set({ view: null, date: null, at: isToday ? null : iso(next) }, false);
      return;
    }
    router.set({ view, date: isToday ? null : date, at: null }, false);
  }

  go(day: number): void {
    const date = dateOf(day, prefs.zone);
    router.set({ date: date === dateOf(this.today, prefs.zone) ? null : date });
  }

  step(step: -1 | 1): void {
    this.go(stepped(this.view, this.day, step, prefs.zone));
  }
}

export const place = new Place();
