/** Asking the server for lines: the next that holds a text, or a range. */

import { logLines, type LogLine } from '../../api/log_lines';
import type { Stream } from '../../api/types';

export interface Asked {
  readonly uid: string;
  readonly stream: Stream | 'all';
  readonly q: string;
}

/** The nearest line with the text, from a line on (`beyond`: not that one itself) or
 * from the end of the log; null where there is none. */
export async function nextHit(
  asked: Asked,
  ahead: boolean,
  from: LogLine | null,
  beyond: boolean,
): Promise<LogLine | null> {
  let cursor = from ? cursorOf(from, ahead && beyond) : ahead ? '0-0' : null;
  for (;;) {
    const page = await logLines.find(asked.uid, {
      stream: asked.stream,
      q: asked.q,
      limit: 1,
      ...(ahead ? { after: cursor } : { before: cursor }),
    });
    const hit = page.items[0];
    if (hit) return hit;
    cursor = ahead ? page.next : page.previous;
    if (!page.more || !cursor) return null;
  }
}

function cursorOf(line: LogLine, behind: boolean): string {
  const at = behind ? line.seq + line.bytes : line.seq;
  return line.stream === 'out' ? `${at}-0` : `0-${at}`;
}

/** The text of lines `from` to `to` of a stream, as many as there are. */
export async function linesOf(
  uid: string,
  stream: Stream,
  from: number,
  to: number,
): Promise<string[]> {
  const text: string[] = [];
  while (text.length <= to - from) {
    const line = from + text.length;
    const limit = Math.min(500, to - line + 1);
    const page = await logLines.page(uid, { stream, line, limit });
    if (page.items.length === 0) break;
    text.push(...page.items.map((one) => one.text));
  }
  return text;
}
