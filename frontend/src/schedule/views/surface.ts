/** Where an instant stands on the drawn grid, and which instant is under the pointer. */

import { DAY, HOUR } from '../../core/time';
import type { Face, GridName } from './period';

export interface Box {
  readonly left: number; // in the window
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Sight {
  readonly view: GridName;
  readonly face: Face;
  readonly days: readonly number[];
  readonly hours: number; // that the columns are high
}

const COLUMNS = '.ec-body > .ec-grid > .ec-day';

export class Surface {
  constructor(
    private readonly root: () => HTMLElement | undefined,
    private readonly sight: () => Sight,
  ) {}

  #columns(): HTMLElement[] {
    return [...(this.root()?.querySelectorAll<HTMLElement>(COLUMNS) ?? [])];
  }

  /** The instant at a point; of a month the beginning of its day. Null: not on a day. */
  at(x: number, y: number): number | null {
    const { view, face, days, hours } = this.sight();
    const columns = this.#columns();
    const index = nearest(columns, x, y, view === 'month');
    const day = days[index];
    const box = columns[index]?.getBoundingClientRect();
    if (day === undefined || !box) return null;
    if (view === 'month') return day;
    const share = Math.min(1, Math.max(0, (y - box.top) / box.height));
    return face.fromWall(face.toWall(day) + (share * hours * DAY) / 24);
  }

  /** Which of the days in sight is under the point. */
  dayAt(x: number, y: number): number | null {
    const { view, days } = this.sight();
    return days[nearest(this.#columns(), x, y, view === 'month')] ?? null;
  }

  /** The day in sight that an instant is on; far off, the instant itself. */
  dayOf(at: number): number {
    return this.sight().days.findLast((day) => day <= at) ?? at;
  }

  /** Where [start, end) stands, of its first day; null when that is not in sight. */
  boxOf(start: number, end: number): Box | null {
    const { view, face, days, hours } = this.sight();
    const index = days.findLastIndex((day) => day <= start);
    const box = this.#columns()[index]?.getBoundingClientRect();
    const day = days[index];
    if (!box || day === undefined) return null;
    if (view === 'month') {
      if (start >= day + 26 * HOUR) return null; // after the last day
      return {
        left: box.left + 3,
        top: box.top + 28,
        width: box.width - 6,
        height: 24,
      };
    }
    const base = face.toWall(day);
    const share = (at: number) => (face.toWall(at) - base) / ((hours * DAY) / 24);
    if (share(start) >= 1) return null;
    const top = box.top + share(start) * box.height;
    const bottom = box.top + Math.min(1, share(end)) * box.height;
    return {
      left: box.left,
      top,
      width: box.width,
      height: Math.max(18, bottom - top),
    };
  }
}

/** The column under (or beside) the point; of a month the cell under it. */
function nearest(columns: HTMLElement[], x: number, y: number, both: boolean): number {
  let found = -1;
  let least = Infinity;
  columns.forEach((column, index) => {
    const box = column.getBoundingClientRect();
    const dx = Math.max(box.left - x, 0, x - box.right);
    const dy = both ? Math.max(box.top - y, 0, y - box.bottom) : 0;
    if (dx + dy < least) [found, least] = [index, dx + dy];
  });
  return found;
}
