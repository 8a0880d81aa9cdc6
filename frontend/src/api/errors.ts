/** One error type for all that can go wrong with a request; `code` is the server's. */

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly fields: Readonly<Record<string, readonly string[]>> = {},
  ) {
    super(detail);
    this.name = 'ApiError';
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

/** A sentence for people, whatever was thrown. */
export function sayError(error: unknown): string {
  if (error instanceof ApiError) {
    const more = Object.entries(error.fields)
      .map(([name, faults]) => [name, unsaid(faults, error.message)] as const)
      .filter(([, faults]) => faults.length > 0)
      .map(([name, faults]) => `${name}: ${faults.join(', ')}`)
      .join('; ');
    return more ? `${error.message} (${more})` : error.message;
  }
  return error instanceof Error ? error.message : String(error);
}

/** The faults that the message does not tell already. */
function unsaid(faults: readonly string[], message: string): readonly string[] {
  return faults.filter((fault) => !message.includes(fault));
}
