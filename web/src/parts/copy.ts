import { text } from "../text";

/** copy puts a text into the clipboard. Browsers may refuse that, and pages without TLS have none. */
export async function copy(value: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(value);
  } catch {
    throw new Error(text.notCopied);
  }
}
