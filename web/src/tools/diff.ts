export interface DiffLine {
  kind: "same" | "added" | "removed" | "hunk" | "note";
  /** The line's number before and after; 0 if it isn't there. */
  before: number;
  after: number;
  text: string;
}

/** linesOf reads a difference as diff -u writes it. */
export function linesOf(unified: string): DiffLine[] {
  const lines: DiffLine[] = [];
  let before = 0;
  let after = 0;
  let [leftBefore, leftAfter] = [0, 0];
  for (const line of unified.split("\n")) {
    if (leftBefore <= 0 && leftAfter <= 0) {
      // Between hunks: what begins with --- there is a name, and inside of a hunk it is a line that was removed.
      const hunk = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(line);
      if (hunk) {
        [before, after] = [Number(hunk[1]), Number(hunk[3])];
        [leftBefore, leftAfter] = [Number(hunk[2] ?? 1), Number(hunk[4] ?? 1)];
        lines.push({ kind: "hunk", before: 0, after: 0, text: line });
      } else if (line.startsWith("\\")) lines.push({ kind: "note", before: 0, after: 0, text: line.slice(2) });
      continue;
    }
    const text = line.slice(1);
    if (line.startsWith("\\")) {
      lines.push({ kind: "note", before: 0, after: 0, text: line.slice(2) });
    } else if (line.startsWith("+")) {
      lines.push({ kind: "added", before: 0, after: after++, text });
      leftAfter--;
    } else if (line.startsWith("-")) {
      lines.push({ kind: "removed", before: before++, after: 0, text });
      leftBefore--;
    } else {
      lines.push({ kind: "same", before: before++, after: after++, text });
      leftBefore--;
      leftAfter--;
    }
  }
  return lines;
}

/** tally counts what was added and removed. */
export function tally(lines: DiffLine[]): { added: number; removed: number } {
  let [added, removed] = [0, 0];
  for (const l of lines) {
    if (l.kind === "added") added++;
    else if (l.kind === "removed") removed++;
  }
  return { added, removed };
}
