/** The present, for durations that grow and times that pass. It ticks while something shows it. */
class Clock {
  #now = $state(Date.now());
  #users = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  get now(): number {
    return this.#now;
  }

  /** use keeps the clock going until the returned function is called. */
  use = (): (() => void) => {
    if (this.#users++ === 0) {
      this.#now = Date.now();
      this.#timer = setInterval(() => {
        if (!document.hidden) this.#now = Date.now();
      }, 1000);
    }
    return () => {
      if (--this.#users === 0) clearInterval(this.#timer);
    };
  };
}

export const clockwork = new Clock();
