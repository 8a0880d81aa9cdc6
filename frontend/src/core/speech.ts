/** The browser's own speech recognition, where it has one. */

interface Recognised {
  readonly resultIndex: number;
  readonly results: ArrayLike<
    ArrayLike<{ readonly transcript: string }> & { readonly isFinal: boolean }
  >;
}
interface Recognition {
  lang: string;
  interimResults: boolean;
  onresult: ((event: Recognised) => void) | null;
  onend: (() => void) | null;
  onerror: (() => void) | null;
  start(): void;
  stop(): void;
}
type Made = new () => Recognition;

export interface Listener {
  start(): void;
  stop(): void;
}

/** Null where the browser cannot listen. `heard` gets what was said so far. */
export function listener(
  heard: (said: string, final: boolean) => void,
  changed: (listening: boolean) => void,
): Listener | null {
  const known = globalThis as unknown as Record<string, Made | undefined>;
  const Recogniser = known['SpeechRecognition'] ?? known['webkitSpeechRecognition'];
  if (!Recogniser) return null;
  const recognition = new Recogniser();
  recognition.lang = 'en-US';
  recognition.interimResults = true;
  recognition.onresult = (event) => {
    const last = event.results[event.results.length - 1];
    const best = last?.[0];
    if (last && best) heard(best.transcript, last.isFinal);
  };
  recognition.onend = recognition.onerror = () => changed(false);
  return {
    start() {
      changed(true);
      recognition.start();
    },
    stop: () => recognition.stop(),
  };
}
