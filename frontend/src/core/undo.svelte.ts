/** What can be taken back and done again. The server keeps how; we keep the steps. */

import * as api from '../api/endpoints';
import { sayError } from '../api/errors';
import { toasts } from './toasts.svelte';

/** Does it (again) and tells how to take that back. */
export type Doing = () => Promise<Taking>;
export type Taking = () => Promise<unknown>;

interface Step {
  readonly id: number;
  readonly what: string;
  readonly back: Taking;
  readonly again: Doing | null;
  readonly toast: number; // which offers to take it back
}

class UndoStack {
  #steps: Step[] = [];
  #undone: Step[] = [];
  #next = 1;
  /** Rises with each undo and redo, so that what shows schedules reloads. */
  done = $state(0);

  /** Something the server can take back by a token. */
  push(token: string, what: string, again: Doing | null = null): void {
    this.add(what, byToken(token), again);
  }

  /** Something that is taken back by `back`. */
  add(what: string, back: Taking, again: Doing | null = null): void {
    this.#undone = [];
    this.#put({ id: this.#next++, what, back, again });
  }

  #put(step: Omit<Step, 'toast'>): void {
    const toast = toasts.show(step.what, {
      tone: 'good',
      action: { label: 'Undo', run: () => void this.take(step.id) },
    });
    this.#steps.push({ ...step, toast });
  }

  /** Takes back this step, or the last one. */
  async take(id?: number): Promise<void> {
    const at =
      id === undefined
        ? this.#steps.length - 1
        : this.#steps.findIndex((step) => step.id === id);
    const [step] = at < 0 ? [] : this.#steps.splice(at, 1);
    if (!step) {
      if (id === undefined) toasts.show('Nothing to undo.');
      return;
    }
    toasts.dismiss(step.toast);
    try {
      await step.back();
      if (step.again) this.#undone.push(step);
      this.done += 1;
      toasts.good(`Undone: ${step.what}`);
    } catch (error) {
      toasts.bad(`Could not undo. ${sayError(error)}`);
    }
  }

  /** Does again what was taken back last. */
  async redo(): Promise<void> {
    const step = this.#undone.pop();
    if (!step?.again) return void toasts.show('Nothing to do again.');
    try {
      const back = await step.again();
      this.#put({ ...step, back });
      this.done += 1;
    } catch (error) {
      toasts.bad(`Could not do it again. ${sayError(error)}`);
    }
  }
}

export const byToken =
  (token: string): Taking =>
  () =>
    api.occurrences.undo(token);

export const undo = new UndoStack();
