interface Page {
  next?: string;
}

/** most bounds what a page collects of a list that has pages. */
const most = 20;

/** allPages reads all pages of a list, but no more than 20,000 things, and says whether there are more. */
export async function allPages<P extends Page, T>(
  read: (query: { limit: number; cursor?: string }) => Promise<P>,
  of: (page: P) => T[] | null,
): Promise<{ all: T[]; more: boolean }> {
  const all: T[] = [];
  let cursor: string | undefined;
  for (let i = 0; i < most; i++) {
    const page = await read({ limit: 1000, ...(cursor ? { cursor } : {}) });
    all.push(...(of(page) ?? []));
    cursor = page.next;
    if (!cursor) return { all, more: false };
  }
  return { all, more: true };
}
