/** The one live feed of the application: who wants to know is told, once per frame drawn. */

import type { Delta, Frame, LogFrame, PresenceFrame } from '../api/types';
import { clock } from '../core/clock.svelte';
import { News } from './news';
import { emptyFeed, receive, type Feed } from './reducer';
import { LiveSocket, type Link } from './socket';

const TOPICS = ['runs', 'agents', 'queue', 'nodes', 'presence'] as const;
const MOST_LOGS = 8; // of one connection, by the server's rule

export interface Listener {
  /** Several deltas at once: they are gathered until the browser draws. */
  onchange?(deltas: readonly Delta[]): void;
  /**
   * Something may have been missed. `since` is the server's instant from which on we
   * hear everything: a snapshot that is older has to be fetched again.
   */
  onresync?(since: number): void;
  /** Somebody else drags something, or has put it down. */
  onpresence?(frame: PresenceFrame): void;
}

type LogListener = (frame: LogFrame) => void;

class Live {
  link = $state<Link>('connecting');
  staleSince = $state<number | null>(null);
  #feed: Feed = emptyFeed;
  #news = new News();
  #socket: LiveSocket | null = null;
  #listeners = new Set<Listener>();
  #logs = new Map<string, Set<LogListener>>();
  #followed = new Set<string>();
  #waiting: Delta[] = [];
  #scheduled = false;

  start(): () => void {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    this.#socket = new LiveSocket(`${scheme}://${location.host}/ws/live`, {
      onframe: (frame) => this.#take(frame),
      onlink: (link) => this.#show(link),
      onopen: () => {
        this.#followed.clear();
        this.#subscribe();
      },
    });
    this.#socket.open();
    return () => this.#socket?.close();
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Says something to the server; lost when there is no connection. */
  say(message: unknown): void {
    this.#socket?.send(message);
  }

  followLog(uid: string, listener: LogListener): () => void {
    const set = this.#logs.get(uid) ?? new Set();
    set.add(listener);
    this.#logs.set(uid, set);
    this.#subscribe();
    return () => {
      set.delete(listener);
      if (set.size === 0) this.#logs.delete(uid);
    };
  }

  #show(link: Link): void {
    this.link = link;
    if (link === 'live') this.staleSince = null;
    else this.staleSince ??= Date.now();
  }

  /**
   * The server adds topics and takes none away, and follows a bounded number of logs for
   * one connection: when that number is used up, we begin with a fresh one.
   */
  #subscribe(): void {
    const logs = [...this.#logs.keys()].slice(-MOST_LOGS);
    const all = new Set([...this.#followed, ...logs]);
    if (all.size > MOST_LOGS) {
      this.#followed.clear();
      this.#socket?.restart();
      return;
    }
    this.#followed = all;
    this.#socket?.send({ subscribe: [...TOPICS, ...logs.map((uid) => `log:${uid}`)] });
  }

  #take(frame: Frame): void {
    const [feed, effect] = receive(this.#feed, frame);
    this.#feed = feed;
    if (frame.type === 'hello') {
      clock.learn(frame.now);
    } else if (frame.type === 'presence') {
      for (const listener of this.#listeners) listener.onpresence?.(frame);
    }
    if (effect.kind === 'apply') this.#gather(effect.delta);
    else if (effect.kind === 'resync') {
      this.#resync(frame.type === 'hello' ? Date.parse(frame.now) : Infinity);
    } else if (effect.kind === 'log') {
      for (const tell of this.#logs.get(effect.frame.run) ?? []) tell(effect.frame);
    }
  }

  #resync(since: number): void {
    this.#waiting = [];
    for (const listener of this.#listeners) listener.onresync?.(since);
  }

  /** A hidden page draws nothing, so there a timer takes the place of the next frame. */
  #gather(delta: Delta): void {
    this.#waiting.push(this.#news.inOrder(delta));
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (document.visibilityState === 'hidden') setTimeout(this.#flush, 250);
    else requestAnimationFrame(this.#flush);
  }

  #flush = (): void => {
    this.#scheduled = false;
    const deltas = this.#waiting;
    this.#waiting = [];
    if (deltas.length === 0) return;
    for (const listener of this.#listeners) listener.onchange?.(deltas);
  };
}

export const live = new Live();
