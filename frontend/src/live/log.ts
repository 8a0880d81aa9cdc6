/** One stream of a run's output, put together from answers and live frames by offset. */

export interface LogText {
  readonly text: string;
  readonly from: number; // bytes: where `text` begins in the stream
  readonly to: number; // bytes: where it ends
  readonly cut: boolean; // the server kept only part of what was written
}

export const emptyLog: LogText = { text: '', from: 0, to: 0, cut: false };

const KEPT_CHARS = 400_000; // of one stream in the page; older output is fetched again

const encoder = new TextEncoder();
export const byteLength = (text: string): number => encoder.encode(text).length;

export type Appended =
  { readonly kind: 'ok'; readonly log: LogText } | { readonly kind: 'gap' };

/** Adds what begins at `from`; repeats are ignored, a hole is reported. */
export function append(log: LogText, from: number, text: string): Appended {
  if (from > log.to) return { kind: 'gap' };
  const bytes = encoder.encode(text);
  const known = log.to - from;
  if (known >= bytes.length) return { kind: 'ok', log };
  const fresh = known === 0 ? text : new TextDecoder().decode(bytes.subarray(known));
  return {
    kind: 'ok',
    log: trim({ ...log, text: log.text + fresh, to: from + bytes.length }),
  };
}

/** Forgets the oldest lines beyond what a page can show. */
function trim(log: LogText): LogText {
  if (log.text.length <= KEPT_CHARS * 1.25) return log; // seldom, as it copies all
  const line = log.text.indexOf('\n', log.text.length - KEPT_CHARS);
  const kept = log.text.slice(line + 1);
  return { ...log, text: kept, from: log.to - byteLength(kept) };
}
