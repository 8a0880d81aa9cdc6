/** The output of one run, from its tail on, followed live or asked for again and again. */

import * as api from '../api/endpoints';
import { ApiError, sayError } from '../api/errors';
import type { LogFrame, LogPart, Stream } from '../api/types';
import { append, emptyLog, type LogText } from '../live/log';
import { live } from '../live/live.svelte';

const STREAMS: readonly Stream[] = ['out', 'err'];
const POLL_MS = 2000; // only while the live feed is down, and once more when a run has ended

export class RunLog {
  out = $state.raw<LogText>(emptyLog);
  err = $state.raw<LogText>(emptyLog);
  loaded = $state(false);
  error = $state<string | null>(null);
  #stopped = false;
  #filling = false;

  constructor(
    private readonly uid: string,
    private readonly tailBytes: number,
  ) {}

  start(): () => void {
    const unfollow = live.followLog(this.uid, (frame) => this.#take(frame));
    const unlisten = live.listen({ onresync: () => void this.fill() });
    const timer = setInterval(() => {
      if (live.link !== 'live') void this.fill();
    }, POLL_MS);
    void this.#begin();
    return () => {
      this.#stopped = true;
      unfollow();
      unlisten();
      clearInterval(timer);
    };
  }

  /** Fetches what was written since the last answer. */
  async fill(): Promise<void> {
    if (this.#filling || this.#stopped || !this.loaded) return;
    this.#filling = true;
    try {
      for (const stream of STREAMS) await this.#fillStream(stream);
      this.error = null;
    } catch (error) {
      this.error = sayError(error);
    }
    this.#filling = false;
  }

  /** Asked without an offset, the server answers with the tail of each stream. */
  async #begin(): Promise<void> {
    try {
      const said = await api.runs.logs(this.uid, {
        stream: 'all',
        limit: this.tailBytes,
      });
      for (const stream of STREAMS) {
        const part = said[stream];
        if (part) this[stream] = toText(part);
      }
      this.error = null;
    } catch (error) {
      // A run that has not started has no output yet: that is no fault.
      const none = error instanceof ApiError && error.status === 404;
      this.error = none ? null : sayError(error);
    }
    this.loaded = true;
  }

  async #fillStream(stream: Stream): Promise<void> {
    for (let more = true; more && !this.#stopped;) {
      const after = this[stream].to;
      const said = await api.runs.logs(this.uid, { stream, after });
      const part = said[stream];
      if (!part || part.to <= after) return;
      this.#append(stream, part.from, part.text, part.to);
      more = part.to < part.size;
    }
  }

  #take(frame: LogFrame): void {
    if (!this.loaded) return void setTimeout(() => void this.fill(), 300);
    const added = append(this[frame.stream], frame.from, frame.text);
    if (added.kind === 'ok') this[frame.stream] = added.log;
    else void this.fill();
  }

  #append(stream: Stream, from: number, text: string, to: number): void {
    const added = append(this[stream], from, text);
    const log = added.kind === 'ok' ? added.log : { ...emptyLog, from, text };
    this[stream] = { ...log, to };
  }
}

const toText = (part: LogPart): LogText => ({
  text: part.text,
  from: part.from,
  to: part.to,
  cut: Boolean(part.cut),
});
