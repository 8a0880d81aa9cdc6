/** What can be done from the command palette. Pages add theirs while they are shown. */

import { untrack, type Component } from 'svelte';

export interface Command {
  readonly id: string;
  readonly title: string;
  readonly section: 'Go to' | 'Do' | 'Agents' | 'Settings';
  readonly keys?: string;
  readonly icon?: Component;
  readonly run: () => void;
}

class Commands {
  #sets = $state.raw<readonly (() => readonly Command[])[]>([]);

  /** Adds a source; the function returned takes it away. */
  offer(source: () => readonly Command[]): () => void {
    this.#sets = [...untrack(() => this.#sets), source];
    return () => {
      this.#sets = untrack(() => this.#sets).filter((set) => set !== source);
    };
  }

  all(): readonly Command[] {
    return this.#sets.flatMap((source) => source());
  }
}

export const commands = new Commands();
