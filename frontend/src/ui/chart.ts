/** What a chart draws, as the library wants it. */

export interface ChartSeries {
  readonly name: string;
  /** A custom property of tokens.css: "--line-cpu". */
  readonly colour: string;
  /** One for each instant; null where nothing is known: the line has a gap there. */
  readonly values: readonly (number | null)[];
}

/** Instants in seconds, then each line as long as they are. */
export function aligned(
  times: readonly number[],
  series: readonly ChartSeries[],
): (number | null)[][] {
  return [
    times.map((at) => at / 1000),
    ...series.map(({ values }) => times.map((_, index) => values[index] ?? null)),
  ];
}

/** First and last second of the axis; never of no width. */
export function bounds(
  times: readonly number[],
  from: number | undefined,
  to: number | undefined,
): [number, number] {
  const first = (from ?? times[0] ?? 0) / 1000;
  const last = (to ?? times.at(-1) ?? 0) / 1000;
  return [first, Math.max(last, first + 1)];
}

/** Labels of an axis, none of them the same as the one before it. */
export function withoutRepeats(labels: readonly string[]): string[] {
  return labels.map((label, index) => (label === labels[index - 1] ? '' : label));
}

/** Whether ticks (in seconds) stand so close that hours and minutes cannot tell them
 *  apart. */
export function needSeconds(ticks: readonly number[]): boolean {
  return ticks.some((tick, index) => index > 0 && tick - (ticks[index - 1] ?? 0) < 60);
}
