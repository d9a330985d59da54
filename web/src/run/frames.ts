/** The largest piece of what is typed that is sent at once, in bytes. The server takes frames of 64 KiB. */
const piece = 16 << 10;

export interface Exit {
  code: number;
  reason?: string;
}

/** exitIn reads a word of the server about the shell; anything but its end is nothing. */
export function exitIn(text: string): Exit | undefined {
  try {
    const read = JSON.parse(text) as { exit?: { code?: unknown; reason?: unknown } } | null;
    if (typeof read?.exit?.code !== "number") return undefined;
    return { code: read.exit.code, ...(typeof read.exit.reason === "string" ? { reason: read.exit.reason } : {}) };
  } catch {
    return undefined;
  }
}

/** pieces cuts what is typed, so that each piece is taken. */
export function pieces(data: Uint8Array<ArrayBuffer>, size = piece): Uint8Array<ArrayBuffer>[] {
  const all = [];
  for (let i = 0; i < data.length; i += size) all.push(data.subarray(i, i + size));
  return all;
}
