/** What can be taken back. The server keeps how; we keep the tokens, newest last. */

import * as api from '../api/endpoints';
import { sayError } from '../api/errors';
import { toasts } from './toasts.svelte';

interface Step {
  readonly token: string;
  readonly what: string;
  /** What takes it back where the server keeps no token for it. */
  readonly back?: () => Promise<unknown>;
}

class UndoStack {
  #steps: Step[] = [];
  /** Rises with each undo, so that what shows schedules reloads. */
  done = $state(0);

  push(token: string, what: string, back?: () => Promise<unknown>): void {
    this.#steps.push({ token, what, ...(back ? { back } : {}) });
    toasts.show(what, {
      tone: 'good',
      action: { label: 'Undo', run: () => void this.take(token) },
    });
  }

  /** Takes back the step with this token, or the last one. */
  async take(token?: string): Promise<void> {
    const at = token
      ? this.#steps.findIndex((step) => step.token === token)
      : this.#steps.length - 1;
    const [step] = at < 0 ? [] : this.#steps.splice(at, 1);
    if (!step) {
      if (!token) toasts.show('Nothing to undo.');
      return;
    }
    try {
      await (step.back?.() ?? api.occurrences.undo(step.token));
      this.done += 1;
      toasts.good(`Undone: ${step.what}`);
    } catch (error) {
      toasts.bad(`Could not undo. ${sayError(error)}`);
    }
  }
}

export const undo = new UndoStack();
