/** The shapes of /api/v1/ and /ws/live, as the server writes them. Instants are ISO 8601 UTC. */

import type { PresenceFrame } from './presence';

export type { PresenceFrame, WireDrag } from './presence';

import type { CrashLoop, Delivery, Phase } from './run_parts';
import type {
  BehindResult,
  DeadlineFacts,
  Downstream,
  PassedOver,
  PlanFacts,
  TimelineBand,
  TimelineWindow,
} from './timeline_parts';

export type { TimelineBand };

export type RunState =
  | 'queued'
  | 'admitted'
  | 'starting'
  | 'running'
  | 'suspended'
  | 'stopping'
  | 'succeeded'
  | 'failed'
  | 'cancelled'
  | 'timed_out'
  | 'preempted'
  | 'lost';
export type ItemState = RunState | 'planned' | 'skipped' | 'missed';
export type AgentStatus = 'running' | 'sleeping' | 'crashed' | 'rebooting' | 'disabled';
export type Kind = 'persistent' | 'ephemeral' | 'cascading';
export type Environment = 'subprocess' | 'docker' | 'systemd' | 'sandbox';
export type Priority = 'critical' | 'high' | 'medium' | 'low' | 'background';
export type Role = 'viewer' | 'operator' | 'editor' | 'admin';
export type Group = 'agent' | 'node' | 'priority' | 'tag';
export type Scope = 'this' | 'following' | 'all';

export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
  readonly total?: number;
}

export interface Me {
  readonly name: string;
  readonly role: Role;
  readonly timezone: string;
}

export interface Agent {
  readonly agent_id: string;
  readonly kind: Kind;
  readonly exec_env: Environment;
  readonly priority: Priority;
  readonly capabilities: readonly string[];
  readonly tags: readonly string[];
  readonly enabled: boolean;
  readonly held: boolean;
  readonly status: AgentStatus;
  readonly version: number;
  readonly cpu_millis: number;
  readonly memory_bytes: number;
  readonly gpus: number;
  readonly assumed: readonly string[];
  readonly next_due_at: string | null;
  readonly live_run: string | null;
  readonly restarts: number;
  readonly created_at: string;
  readonly crash_loop?: CrashLoop | null;
  readonly last_run_at?: string | null;
}

export interface AgentDetail extends Agent {
  readonly definition: Registration;
  readonly versions: number;
  readonly warnings: readonly string[];
}

/** What a person writes; the server fills in the rest and says what it assumed. */
export interface Registration {
  readonly agent_id: string;
  readonly exec_env: Environment;
  readonly entry_point: string;
  readonly args?: readonly string[];
  readonly kind?: Kind;
  readonly priority?: Priority;
  readonly cpu?: number | string;
  readonly gpu?: number;
  readonly memory?: string | number;
  readonly docker?: { readonly image: string };
  readonly [key: string]: unknown;
}

export interface EnvironmentInfo {
  readonly name: Environment;
  readonly available: boolean;
  readonly reason: string | null;
  readonly install: string | null;
}

export interface Pause {
  readonly at: string;
  readonly by: string;
  readonly note: string;
  readonly until: string | null;
}

export interface Schedule {
  readonly id: string;
  readonly agent: string;
  readonly kind: 'cron' | 'interval' | 'run_at';
  readonly cron?: string | null;
  readonly interval?: number | string | null;
  readonly run_at?: string | null;
  readonly rule_text: string;
  readonly timezone: string;
  readonly next_due_at: string | null;
  readonly enabled: boolean;
  readonly paused: Pause | null;
  readonly overlap: string;
  readonly missed: string;
  readonly version: number;
}

export interface ScheduleDraft {
  agent?: string;
  cron?: string;
  interval?: number;
  rule?: string;
  solar?: string;
  place?: { readonly latitude: number; readonly longitude: number };
  run_at?: string;
  timezone?: string;
  overlap?: string;
  missed?: string;
  timeout?: number; // seconds
}

export interface Preview {
  readonly human: string;
  readonly firings: readonly string[];
  readonly notes: readonly string[];
}

export interface Conflict {
  readonly text: string;
}

export interface Suggestion {
  readonly start: string;
  readonly text: string;
}

export interface MoveRequest {
  readonly start: string;
  readonly end?: string;
  readonly node?: string;
  readonly scope: Scope;
  readonly base_version?: number;
  readonly dry_run: boolean;
  readonly downstream?: Downstream;
}

export interface MoveResult extends BehindResult {
  readonly changed_count: number;
  readonly rule_before: string;
  readonly rule_after: string;
  readonly human_before?: string;
  readonly human: string;
  readonly conflicts: readonly Conflict[];
  readonly suggestions: readonly Suggestion[];
  readonly undo_token: string | null;
  readonly version: number;
  readonly feasible?: boolean;
  readonly reason?: string | null;
}

export interface TimelineRow {
  readonly id: string;
  readonly title: string;
  readonly status?: AgentStatus | null;
  readonly priority?: Priority | null;
  readonly kind?: Kind | null;
  readonly exec_env?: Environment | null;
}

export interface TimelineItem extends PlanFacts {
  readonly id: string;
  readonly run: string | null;
  readonly occurrence: string | null;
  readonly schedule: string | null;
  readonly row: string;
  readonly agent: string;
  readonly start: string;
  readonly end: string;
  readonly state: ItemState;
  readonly moved: boolean;
  readonly repeating: boolean;
  readonly movable: boolean;
  readonly why: string | null;
  readonly priority: Priority;
  readonly progress?: number | null; // 0 to 1, as its program says
  readonly count?: number; // instants that a stretch of skipped ones stands for
}

export interface Timeline {
  readonly rows: readonly TimelineRow[];
  readonly items: readonly TimelineItem[];
  readonly bands: readonly TimelineBand[];
  readonly windows?: readonly TimelineWindow[];
  readonly passed_over?: readonly PassedOver[];
  readonly capped: boolean;
  readonly version: number;
  readonly now: string;
}

export interface Run {
  readonly uid: string;
  readonly agent: string;
  readonly state: RunState;
  readonly reason: string | null;
  readonly exit_code: number | null;
  readonly signal: number | string | null;
  readonly oom_killed: boolean;
  readonly priority: Priority;
  readonly node: string | null;
  readonly attempt: number;
  readonly schedule: string | null;
  readonly occurrence: string | null;
  readonly parent: string | null;
  readonly due_at: string;
  readonly queued_at: string;
  readonly admitted_at: string | null;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly cpu_seconds: number | null;
  readonly peak_memory_bytes: number | null;
  readonly result?: unknown;
  readonly ready_at?: string | null;
  readonly progress?: number | null; // 0 to 1, as its program says
  readonly status_text?: string;
  readonly devices?: readonly string[] | null;
  readonly ports?: Readonly<Record<string, number>> | null;
  readonly phases?: readonly Phase[];
  readonly deliveries?: readonly Delivery[];
  readonly params?: Readonly<Record<string, unknown>>;
  readonly suspended_at?: string | null;
  readonly suspended_reason?: string;
  readonly frozen_s?: number;
  readonly version?: number | null;
  readonly requested_by?: string;
}

export interface Why {
  readonly text: string;
  readonly blockers: readonly { readonly kind: string; readonly text: string }[];
  readonly smallest_change: { readonly kind: string; readonly text: string } | null;
  readonly position: { readonly in_queue: number; readonly of: number } | null;
  readonly expected_start: string | null;
  readonly basis: string | null;
}

/** What was understood of an utterance, and what will happen. */
export interface Spoken {
  readonly said: string;
  readonly needs_confirmation: boolean;
  readonly confirm: string | null;
}

export interface LogPart {
  readonly text: string;
  readonly from: number;
  readonly to: number;
  readonly size: number;
  readonly cut: { readonly from: number; readonly to: number } | null;
}
export type Stream = 'out' | 'err';
export type Logs = Partial<Record<Stream, LogPart>>;

export interface Amounts {
  readonly cpu_millis: number;
  readonly memory_bytes: number;
  readonly gpus: number;
  readonly slots?: number | null;
}

export interface NodeInfo extends Amounts {
  readonly name: string;
  readonly state: 'up' | 'down';
  readonly cordoned: boolean;
  readonly draining?: boolean;
  readonly used: Amounts;
  readonly usage?: Readonly<Record<string, unknown>>;
  readonly environments?: readonly string[];
  readonly environments_missing?: Readonly<Record<string, string>>;
  readonly heartbeat_at?: string | null;
}

export interface Overview {
  readonly states: Readonly<Record<string, number>>;
  readonly nodes: readonly NodeInfo[];
  readonly leader: string | null;
  readonly tick_ms: number | null;
}

export interface Capacity {
  readonly times: readonly number[];
  readonly memory: readonly number[];
  readonly cpu: readonly number[];
  readonly gpu: readonly number[];
  readonly slots: readonly number[];
}

export interface QueueEntry {
  readonly uid: string;
  readonly agent: string;
  readonly priority: Priority;
  readonly position: number | null;
  readonly reason: string | null;
  readonly due_at: string;
  readonly queued_at: string;
  readonly expected_start?: string | null;
  readonly expected_start_p90?: string | null;
  readonly held: boolean;
  readonly front: boolean;
}

export interface Queue {
  readonly mode?: string;
  readonly items: readonly QueueEntry[];
  readonly held?: readonly QueueEntry[];
  readonly total?: number;
}

export interface AuditPage {
  readonly items: readonly AuditEntry[];
  readonly next: number | null; // numbers before this one follow
}

export interface AuditEntry {
  readonly seq: number;
  readonly at: string;
  readonly kind: string;
  readonly subject: string;
  readonly actor: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** What the live feed says of one run: only what changed is certain to be there. */
export interface RunDelta extends DeadlineFacts {
  readonly uid: string;
  readonly agent: string;
  readonly state: RunState;
  readonly at: string;
  readonly reason?: string | null;
  readonly node?: string | null;
  readonly priority?: Priority;
  readonly due_at?: string;
  readonly started_at?: string | null;
  readonly ended_at?: string | null;
  readonly exit_code?: number | null;
  readonly schedule?: string | null;
  readonly occurrence?: string | null;
  readonly progress?: number | null;
}

export interface Delta {
  readonly type: 'delta';
  readonly n: number;
  readonly runs?: readonly RunDelta[];
  readonly agents?: readonly { readonly agent_id: string }[];
  readonly schedules?: readonly { readonly id: string }[];
  readonly nodes?: readonly { readonly name: string }[];
}

export interface LogFrame {
  readonly type: 'log';
  readonly run: string;
  readonly stream: Stream;
  readonly from: number;
  readonly text: string;
}

export type Frame =
  | { readonly type: 'hello'; readonly n: number; readonly now: string }
  | Delta
  | { readonly type: 'resync' }
  | LogFrame
  | PresenceFrame
  | { readonly type: 'ping' };
