/** The WebSocket: connects, reconnects with growing pauses, and notices silence. */

import type { Frame } from '../api/types';
import { backoffMs } from './reducer';

export type Link = 'connecting' | 'live' | 'reconnecting' | 'stale';

const SILENCE_MS = 60_000; // the server pings more often than this
const STALE_AFTER_MS = 10_000; // without a connection this long, what is shown is old

export interface SocketEvents {
  onframe(frame: Frame): void;
  onlink(link: Link): void;
  onopen(): void;
}

export class LiveSocket {
  #socket: WebSocket | null = null;
  #attempt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #stale: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(
    private readonly url: string,
    private readonly events: SocketEvents,
  ) {}

  open(): void {
    this.#closed = false;
    this.#connect();
    addEventListener('online', this.#hurry);
    document.addEventListener('visibilitychange', this.#hurry);
  }

  close(): void {
    this.#closed = true;
    removeEventListener('online', this.#hurry);
    document.removeEventListener('visibilitychange', this.#hurry);
    for (const timer of [this.#retry, this.#silence, this.#stale]) clearTimeout(timer);
    this.#socket?.close();
  }

  /** Connects anew at once: what was subscribed on the old connection is forgotten. */
  restart(): void {
    this.#attempt = 0;
    const old = this.#socket;
    this.#connect();
    old?.close();
  }

  send(message: unknown): void {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify(message));
    }
  }

  #hurry = (): void => {
    const waiting = this.#socket === null && !this.#closed;
    if (!waiting || document.visibilityState === 'hidden') return;
    clearTimeout(this.#retry);
    this.#connect();
  };

  #connect(): void {
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    socket.onopen = () => this.#opened();
    socket.onmessage = (event) => this.#heard(String(event.data));
    socket.onclose = () => {
      if (this.#socket === socket) this.#lost();
    };
  }

  #opened(): void {
    this.#attempt = 0;
    clearTimeout(this.#stale);
    this.#stale = undefined;
    this.#listen();
    this.events.onopen();
    this.events.onlink('live');
  }

  #heard(text: string): void {
    this.#listen();
    this.events.onframe(JSON.parse(text) as Frame);
  }

  /** Starts the silence watch anew; a dead link is closed so that it is replaced. */
  #listen(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#socket?.close(), SILENCE_MS);
  }

  #lost(): void {
    this.#socket = null;
    clearTimeout(this.#silence);
    if (this.#closed) return;
    if (this.#stale === undefined) {
      this.events.onlink('reconnecting');
      this.#stale = setTimeout(() => this.events.onlink('stale'), STALE_AFTER_MS);
    }
    this.#retry = setTimeout(
      () => this.#connect(),
      backoffMs(this.#attempt++, Math.random()),
    );
  }
}
