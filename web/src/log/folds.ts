/** A group of lines: its head is the line ::group::NAME, and its last line is before the next head or at ::endgroup::. */
export interface Group {
  head: number;
  last: number; // 0 until it ends
}

/** Folds says which lines are hidden, and turns rows into lines: row 0 is the first line that isn't hidden. */
export class Folds {
  /** Hidden ranges, sorted, which don't overlap; before is how many lines the ranges before hide. */
  #hidden: { from: number; to: number; before: number }[] = [];

  set(groups: Group[]) {
    let before = 0;
    this.#hidden = [];
    for (const g of [...groups].sort((a, b) => a.head - b.head)) {
      if (g.last <= g.head) continue;
      this.#hidden.push({ from: g.head + 1, to: g.last, before });
      before += g.last - g.head;
    }
  }

  get count(): number {
    const last = this.#hidden.at(-1);
    return last ? last.before + last.to - last.from + 1 : 0;
  }

  rows(lines: number): number {
    let hidden = 0;
    for (const h of this.#hidden) if (h.from <= lines) hidden += Math.min(h.to, lines) - h.from + 1;
    return lines - hidden;
  }

  lineOf(row: number): number {
    let line = row + 1;
    for (const h of this.#hidden) {
      if (h.from > line) break;
      line += h.to - h.from + 1;
    }
    return line;
  }

  /** rowOf returns the row of a line, or that of its group's head if it is hidden. */
  rowOf(line: number): number {
    let hidden = 0;
    for (const h of this.#hidden) {
      if (h.from > line) break;
      if (line <= h.to) return h.from - 2 - hidden;
      hidden += h.to - h.from + 1;
    }
    return line - 1 - hidden;
  }
}
