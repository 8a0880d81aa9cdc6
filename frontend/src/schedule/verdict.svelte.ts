/** What the server says of a place while a run is dragged there. */

import * as api from '../api/endpoints';
import { ApiError, isAbort } from '../api/errors';
import type { Behind, BehindResult } from '../api/timeline_parts';
import type { MoveResult, Suggestion } from '../api/types';
import { iso } from '../core/time';
import { debounce } from '../core/timing';
import type { Target } from './timeline/drag';
import type { Placed } from './timeline/layout';
import { UNPLACED } from './timeline/live';

const QUIET_MS = 150;

export type Tone = 'asking' | 'good' | 'warn' | 'bad';

/** Why it cannot go there, and where it could. */
export interface Refusal {
  readonly text: string;
  readonly nearest: Suggestion | null;
}

export class Verdict {
  tone = $state<Tone>('asking');
  text = $state('');
  suggestion = $state.raw<Suggestion | null>(null);
  /** Others depend on it and have times of their own: whether they go along is asked. */
  leads = false;

  #placed: Placed | null = null;
  #target: Target | null = null;
  #withNode = false;
  #version: Promise<number | undefined> = Promise.resolve(undefined);
  #asking: AbortController | null = null;
  #soon = debounce(() => void this.#ask(), QUIET_MS);

  /** A drag begins: learn which version of the schedule it starts from. */
  begin(placed: Placed, withNode: boolean): void {
    this.clear();
    this.#placed = placed;
    this.#withNode = withNode;
    const { schedule } = placed.item;
    this.#version = schedule
      ? api.schedules.get(schedule).then(
          (found) => found.version,
          () => undefined,
        )
      : Promise.resolve(undefined);
  }

  baseVersion(): Promise<number | undefined> {
    return this.#version;
  }

  consider(target: Target): void {
    this.#target = target;
    this.#asking?.abort();
    this.tone = 'asking';
    this.text = '';
    this.suggestion = null;
    this.leads = false;
    this.#soon();
  }

  /** The last word about the place it was put down at; null: nothing stands against it. */
  async lastWord(): Promise<Refusal | null> {
    if (this.tone === 'asking' && this.#target) {
      this.#soon.cancel();
      await this.#ask();
    }
    return this.tone === 'bad' ? { text: this.text, nearest: this.suggestion } : null;
  }

  clear(): void {
    this.#soon.cancel();
    this.#asking?.abort();
    this.#placed = null;
    this.#target = null;
    this.tone = 'asking';
    this.text = '';
    this.suggestion = null;
  }

  async #ask(): Promise<void> {
    const [placed, target] = [this.#placed, this.#target];
    const id = placed && (placed.item.occurrence ?? placed.item.run);
    if (!id || !target) return;
    const asking = new AbortController();
    this.#asking = asking;
    const version = await this.#version;
    if (asking.signal.aborted) return;
    try {
      const body = {
        ...moveBody(placed, target, this.#withNode),
        scope: 'this' as const,
        dry_run: true,
        ...(version === undefined ? {} : { base_version: version }),
      };
      const said = await api.occurrences.move(id, body, asking.signal);
      this.#show(said);
    } catch (error) {
      if (isAbort(error)) return;
      this.tone = 'bad';
      this.text = error instanceof ApiError ? error.message : 'No answer';
    }
  }

  #show(said: MoveResult): void {
    const trouble = said.reason || said.conflicts[0]?.text || '';
    const fits = said.feasible !== false;
    this.tone = !fits ? 'bad' : trouble || said.conflicts.length > 0 ? 'warn' : 'good';
    this.text = trouble;
    this.suggestion = said.suggestions[0] ?? null;
    this.leads = ownTimes(said).length > 0;
  }
}

/** Those behind it that could be moved along. */
export const ownTimes = ({ downstream = [] }: BehindResult): readonly Behind[] =>
  downstream.filter((it) => it.occurrence !== null);

/** Start, end when it was changed, and node when the rows are nodes. */
export function moveBody(
  placed: Placed,
  target: Target,
  withNode: boolean,
): { start: string; end?: string; node?: string } {
  const resized = target.end - target.start !== placed.end - placed.start;
  return {
    // Of one that runs the server knows the second it began in.
    start: iso(placed.item.end_movable ? seconds(target.start) : target.start),
    ...(resized ? { end: iso(target.end) } : {}),
    ...(withNode && target.row !== placed.item.row && target.row !== UNPLACED
      ? { node: target.row }
      : {}),
  };
}

const seconds = (at: number): number => Math.floor(at / 1000) * 1000;
