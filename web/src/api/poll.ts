/** poll calls get at once, and again some time after it has ended, as long as the page is visible. The returned function ends it. */
export function poll(get: () => Promise<void>, every: number): () => void {
  let ended = false;
  let running = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const run = async () => {
    if (ended || running || document.hidden) return;
    clearTimeout(timer);
    running = true;
    await get();
    running = false;
    if (!ended) timer = setTimeout(() => void run(), every);
  };
  const seen = () => void run();

  document.addEventListener("visibilitychange", seen);
  window.addEventListener("online", seen);
  void run();
  return () => {
    ended = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", seen);
    window.removeEventListener("online", seen);
  };
}
