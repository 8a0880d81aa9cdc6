/** What belongs to a run besides its own facts: steps, deliveries, files, ports. */

/** One step besides the program itself: a hook, a preload, an archive. */
export interface Phase {
  readonly when: string; // pre_start, post_start, on_shutdown
  readonly number: number;
  readonly name: string;
  readonly started_at: string;
  readonly ended_at: string | null;
  readonly outcome: '' | 'done' | 'failed' | 'warned' | 'ignored' | 'stopped';
  readonly detail: string;
}

/** A finished run on its way to somebody who waits for it. */
export interface Delivery {
  readonly id: number;
  readonly sink: string;
  readonly target: string;
  readonly state: 'pending' | 'delivered' | 'dead';
  readonly attempts: number;
  readonly next_attempt_at: string | null;
  readonly detail: string;
  readonly created_at: string;
}

export interface Artefact {
  readonly name: string;
  readonly size: number;
  readonly modified_at: string;
}

export interface Artefacts {
  readonly items: readonly Artefact[];
  readonly cut: string | null; // why some are not listed
}

export interface Endpoint {
  readonly run: string;
  readonly node: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly ready: boolean;
}

export interface CrashLoop {
  readonly since: string;
  readonly crashes: number;
  readonly reason: string;
}
