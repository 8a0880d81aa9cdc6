/** Instants and wall clocks. Everything is milliseconds since the epoch until it is shown. */

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
const QUARTER = 15 * MINUTE; // no zone changes its offset between two quarters of an hour

interface ZoneCache {
  readonly format: Intl.DateTimeFormat;
  readonly offsets: Map<number, number>;
}
const zones = new Map<string, ZoneCache>();

function cacheOf(zone: string): ZoneCache {
  let cache = zones.get(zone);
  if (!cache) {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    cache = { format, offsets: new Map() };
    zones.set(zone, cache);
  }
  return cache;
}

function readOffset(format: Intl.DateTimeFormat, at: number): number {
  const part: Record<string, number> = {};
  for (const { type, value } of format.formatToParts(at)) part[type] = Number(value);
  const wall = Date.UTC(
    part['year'] ?? 1970,
    (part['month'] ?? 1) - 1,
    part['day'] ?? 1,
    part['hour'] ?? 0,
    part['minute'] ?? 0,
    part['second'] ?? 0,
  );
  return wall - Math.floor(at / SECOND) * SECOND;
}

/** How far the wall clock of `zone` is ahead of UTC at this instant. */
export function offsetMs(at: number, zone: string): number {
  if (zone === 'UTC') return 0;
  const { format, offsets } = cacheOf(zone);
  const quarter = Math.floor(at / QUARTER);
  let offset = offsets.get(quarter);
  if (offset === undefined) {
    offset = readOffset(format, quarter * QUARTER);
    if (offsets.size > 20_000) offsets.clear();
    offsets.set(quarter, offset);
  }
  return offset;
}

/** A Date whose UTC fields read as the wall clock of `zone`. */
export function wallClock(at: number, zone: string): Date {
  return new Date(at + offsetMs(at, zone));
}

/**
 * The instant at which the clock of `zone` shows this wall time (as UTC milliseconds).
 * Of an hour that comes twice the first is meant; in one that is left out, the clock
 * goes on from the hour before it.
 */
export function instantOf(wall: number, zone: string): number {
  const before = offsetMs(wall - DAY, zone);
  const first = wall - before;
  if (offsetMs(first, zone) === before) return first;
  const after = offsetMs(wall + DAY, zone);
  const second = wall - after;
  return offsetMs(second, zone) === after ? second : first;
}

export function startOfDay(at: number, zone: string): number {
  const wall = at + offsetMs(at, zone);
  return instantOf(Math.floor(wall / DAY) * DAY, zone);
}

export function addDays(at: number, days: number, zone: string): number {
  return instantOf(at + offsetMs(at, zone) + days * DAY, zone);
}

/** The nearest multiple of `step` on the wall clock, so that 09:00 stays a round hour. */
export function snapTo(at: number, step: number, zone: string): number {
  const offset = offsetMs(at, zone);
  return Math.round((at + offset) / step) * step - offset;
}

export function iso(at: number): string {
  return new Date(at).toISOString();
}

export function browserZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
}

export function isZone(name: string): boolean {
  try {
    cacheOf(name);
    return true;
  } catch {
    return false;
  }
}
