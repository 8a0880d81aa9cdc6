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
    const fields = Object.entries(error.fields)
      .map(([name, faults]) => `${name}: ${faults.join(', ')}`)
      .join('; ');
    return fields ? `${error.message} (${fields})` : error.message;
  }
  return error instanceof Error ? error.message : String(error);
}
