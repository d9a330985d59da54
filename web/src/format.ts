import { text } from "./text";

/** duration writes milliseconds as people say them: 320 ms, 4.2 s, 3 min 5 s. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return s % 60 ? `${m} min ${s % 60} s` : `${m} min`;
  const h = Math.floor(m / 60);
  if (h < 48) return m % 60 ? `${h} h ${m % 60} min` : `${h} h`;
  const d = Math.floor(h / 24);
  return h % 24 ? `${d} d ${h % 24} h` : `${d} d`;
}

/** bytes writes a size with binary units. */
export function bytes(n: number): string {
  if (n < 1024) return `${n} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let i = -1;
  do {
    n /= 1024;
    i++;
  } while (n >= 1023.95 && i < units.length - 1);
  return `${n < 10 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

/** ago writes how long before now a time is. */
export function ago(time: number, now: number): string {
  const s = Math.round((now - time) / 1000);
  const t = text.ago;
  if (s < 5) return t.now;
  if (s < 60) return t.seconds(s);
  if (s < 3600) return t.minutes(Math.floor(s / 60));
  if (s < 48 * 3600) return t.hours(Math.floor(s / 3600));
  return t.days(Math.floor(s / 86400));
}

const two = (n: number) => String(n).padStart(2, "0");

/** clock writes the time of a day, as in logs. */
export function clock(time: Date): string {
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

/** moment writes a time with its day. */
export function moment(time: Date): string {
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

export function count(n: number): string {
  return n.toLocaleString("en");
}

/** shortId is enough of a run's id to tell it from those around it: ids begin with the time, and end with chance. */
export function shortId(id: string): string {
  return id.slice(-12);
}

/** Marks upon one letter, of which scripts have few; thousands cover what is above, and take seconds to draw. */
const stacked = /(\p{M}{8})\p{M}+/gu;

/** visible shows what would change the direction of text, or can't be seen, as its code point. Tools and names are hostile. */
export function visible(s: string): string {
  return s
    .replace(stacked, "$1…")
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g, (c) => {
      return `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
    });
}
