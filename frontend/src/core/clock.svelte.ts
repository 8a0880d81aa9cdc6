/** What time it is, once a second, for everything that shows "in 12 min" or progress. */

class Clock {
  /** Milliseconds since the epoch, by the server's clock as far as we know it. */
  now = $state(Date.now());
  #ahead = 0; // how far the server's clock is ahead of this browser's

  start(): () => void {
    const timer = setInterval(() => (this.now = Date.now() + this.#ahead), 1000);
    return () => clearInterval(timer);
  }

  /** The server said it is `iso`; small differences are the network's, not the clock's. */
  learn(iso: string): void {
    const ahead = Date.parse(iso) - Date.now();
    if (Number.isNaN(ahead)) return;
    this.#ahead = Math.abs(ahead) > 2000 ? ahead : 0;
    this.now = Date.now() + this.#ahead;
  }

  exact(): number {
    return Date.now() + this.#ahead;
  }
}

export const clock = new Clock();
