/** Where the viewer takes lines from. Each holds a bounded part of the log. */

import { isAbort, sayError } from '../../api/errors';
import { logLines, type LogLine, type LineSearch } from '../../api/log_lines';
import type { Stream } from '../../api/types';

const CHUNK = 200;
const MOST_CHUNKS = 20;
const MOST_FOUND = 20_000;

/** What a list shows, by the place in it. */
export interface Source {
  readonly count: number;
  readonly error: string | null;
  readonly loaded: boolean;
  at(row: number): LogLine | undefined;
  /** These rows are seen. */
  want(first: number, last: number): void;
}

/** All lines of one stream; any stretch is fetched when it is seen. */
export class WholeLog implements Source {
  count = $state(0);
  error = $state<string | null>(null);
  removed = $state<string | null>(null);
  loaded = $state(false);
  #chunks = $state.raw(new Map<number, readonly LogLine[]>());
  #asked = new Set<number>();
  #refreshing = false;
  #again = false;

  constructor(
    readonly uid: string,
    readonly stream: Stream,
  ) {}

  at(row: number): LogLine | undefined {
    return this.#chunks.get(Math.floor(row / CHUNK))?.[row % CHUNK];
  }

  want(first: number, last: number): void {
    const end = Math.min(last, this.count);
    for (let n = Math.floor(first / CHUNK); n * CHUNK < end; n += 1) {
      const held = this.#chunks.get(n);
      const whole = Math.min(CHUNK, this.count - n * CHUNK);
      if (!this.#asked.has(n) && (held?.length ?? 0) < whole) void this.#fetch(n);
    }
  }

  async #fetch(n: number): Promise<void> {
    this.#asked.add(n);
    try {
      const line = n * CHUNK + 1;
      const { stream } = this;
      const page = await logLines.page(this.uid, { stream, line, limit: CHUNK });
      this.#take(n, page.items, page.total);
      this.error = null;
    } catch (error) {
      this.error = sayError(error);
    }
    this.#asked.delete(n);
  }

  /** Keeps it, and forgets what was fetched longest ago. */
  #take(n: number, items: readonly LogLine[], total: number): void {
    const chunks = new Map(this.#chunks);
    chunks.delete(n);
    chunks.set(n, items);
    for (const old of chunks.keys()) {
      if (chunks.size <= MOST_CHUNKS) break;
      chunks.delete(old);
    }
    this.#chunks = chunks;
    this.count = Math.max(this.count, total);
  }

  /** Looks how long it is now, and at its end. */
  refresh = async (): Promise<void> => {
    if (this.#refreshing) {
      this.#again = true;
      return;
    }
    this.#refreshing = true;
    try {
      const known = Math.max(0, Math.floor((this.count - 1) / CHUNK));
      const { stream } = this;
      const line = known * CHUNK + 1;
      const page = await logLines.page(this.uid, { stream, line, limit: CHUNK });
      this.removed = page.removed;
      this.#take(known, page.items, page.total);
      this.error = null;
    } catch (error) {
      this.error = sayError(error);
    }
    this.loaded = true;
    this.#refreshing = false;
    if (this.#again) {
      this.#again = false;
      void this.refresh();
    }
  };
}

/** Lines that fit, or both streams by time: from one end on, as far as one scrolls. */
export class FoundLines implements Source {
  items = $state.raw<readonly LogLine[]>([]);
  error = $state<string | null>(null);
  loaded = $state(false);
  busy = $state(false);
  full = $state(false);
  #earlier = $state<string | null>(null);
  #next: string | null = null;
  #more = true;
  #leaving = new AbortController();

  constructor(
    readonly uid: string,
    readonly search: Pick<LineSearch, 'stream' | 'q' | 'level'>,
    /** Begin with the newest lines instead of the first that fit. */
    private readonly fromEnd: boolean,
  ) {}

  get count(): number {
    return this.items.length;
  }
  get hasEarlier(): boolean {
    return this.#earlier !== null;
  }

  at(row: number): LogLine | undefined {
    return this.items[row];
  }

  want(_first: number, last: number): void {
    if (last >= this.items.length - 50 && this.#more && !this.fromEnd)
      void this.newer();
  }

  start(): () => void {
    void (this.fromEnd ? this.earlier() : this.newer());
    return () => this.#leaving.abort();
  }

  /** What follows the last line we have. */
  newer = (): Promise<void> => this.#ask(true);
  earlier = (): Promise<void> => this.#ask(false);

  /** A search looks at so much at a time: ask on until something is found. */
  async #ask(ahead: boolean): Promise<void> {
    if (this.busy || this.full) return;
    this.busy = true;
    try {
      let found: readonly LogLine[] = [];
      for (let more = true; more && found.length === 0;) {
        const question = { ...this.search, limit: 400, ...this.#from(ahead) };
        const page = await logLines.find(this.uid, question, this.#leaving.signal);
        found = page.items;
        more = page.more;
        if (ahead) {
          this.#next = page.next ?? this.#next;
          this.#more = page.more;
        } else {
          this.#next ??= page.next;
          this.#earlier = page.previous;
          more = more && page.previous !== null;
        }
      }
      const all = ahead ? [...this.#known(found), ...found] : [...found, ...this.items];
      this.items = all.slice(0, MOST_FOUND);
      this.full = all.length > MOST_FOUND;
      this.error = null;
    } catch (error) {
      if (!isAbort(error)) this.error = sayError(error);
    }
    this.loaded = true;
    this.busy = false;
  }

  #from(ahead: boolean): { after?: string; before?: string } {
    if (ahead) return { after: this.#next ?? '0-0' };
    return this.#earlier ? { before: this.#earlier } : {};
  }

  /** A last line without its end comes again, whole. */
  #known(found: readonly LogLine[]): readonly LogLine[] {
    const again = new Set(found.map((line) => `${line.stream}${line.seq}`));
    return this.items.filter(
      (line) => !line.unfinished || !again.has(`${line.stream}${line.seq}`),
    );
  }
}
