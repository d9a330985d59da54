/** several calls get with each thing, a few at once, and returns what it gets in their order. A browser that is asked for thousands at once answers with none. */
export async function several<T, R>(of: T[], get: (one: T) => Promise<R>, atOnce = 16): Promise<R[]> {
  const all: R[] = [];
  let next = 0;
  const some = async () => {
    for (let i = next++; i < of.length; i = next++) all[i] = await get(of[i]!);
  };
  await Promise.all(Array.from({ length: atOnce }, some));
  return all;
}
