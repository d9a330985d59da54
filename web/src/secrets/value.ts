/** The most that a value may have, as the server says. */
export const mostBytes = 1 << 20;

/** base64 writes bytes as the API takes them. */
export function base64(data: Uint8Array): string {
  let text = "";
  for (let i = 0; i < data.length; i += 0x8000) text += String.fromCharCode(...data.subarray(i, i + 0x8000));
  return btoa(text);
}

/** rulesOf is the part of a policy in YAML that says which tools may use which secrets, as it is written, or "". */
export function rulesOf(policy: string): string {
  const lines = policy.split("\n");
  const from = lines.findIndex((l) => /^secrets\s*:/.test(l));
  if (from < 0) return "";
  let end = from + 1;
  while (end < lines.length && /^(\s|#|$|-)/.test(lines[end]!)) end++;
  return lines.slice(from, end).join("\n").trimEnd();
}
