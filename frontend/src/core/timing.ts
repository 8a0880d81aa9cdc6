/** Waiting a little before acting: typed text, scrolling, bursts of live changes. */

export interface Delayed {
  (): void;
  cancel(): void;
}

/** Calls `act` once things have been quiet for `quietMs`. */
export function debounce(act: () => void, quietMs: number): Delayed {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const call = () => {
    clearTimeout(timer);
    timer = setTimeout(act, quietMs);
  };
  return Object.assign(call, { cancel: () => clearTimeout(timer) });
}

/** Calls `act` soon, then at most once every `everyMs` however often it is asked. */
export function throttle(act: () => void, everyMs: number): Delayed {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = -Infinity;
  const call = () => {
    if (timer !== undefined) return;
    const wait = Math.max(50, last + everyMs - performance.now());
    timer = setTimeout(() => {
      timer = undefined;
      last = performance.now();
      act();
    }, wait);
  };
  const cancel = () => {
    clearTimeout(timer);
    timer = undefined;
  };
  return Object.assign(call, { cancel });
}
