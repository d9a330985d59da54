/** repeat calls at once and then again and again while the page is seen; what it returns ends that. One call ends before the next begins. */
export function repeat(call: () => Promise<unknown>, every = 5_000): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended = false;
  let running = false;

  const run = async () => {
    clearTimeout(timer);
    if (ended || running || document.hidden) return;
    running = true;
    try {
      await call();
    } finally {
      running = false;
      if (!ended) timer = setTimeout(() => void run(), every);
    }
  };
  const seen = () => void run();
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("online", seen);
  seen();
  return () => {
    ended = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", seen);
    window.removeEventListener("online", seen);
  };
}
