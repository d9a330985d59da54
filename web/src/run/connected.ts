import type { Schemas } from "../api/client";

export type Connected = Schemas["Connected"];
type Event = Schemas["ConnectionEvent"];

const most = 1000;

const key = (c: Connected | Event) =>
  JSON.stringify([c.step ?? "", c.host || c.address, c.protocol, c.rule, c.port ?? 0, c.allowed, !!c.mocked]);

/** added is a list of connections with those that came after it; those alike are one, as in the server's list. */
export function added(have: Connected[], events: Event[]): Connected[] {
  const all = new Map(have.map((c) => [key(c), c]));
  for (const e of events) {
    const k = key(e);
    const old = all.get(k);
    if (old) {
      all.set(k, { ...old, count: old.count + 1, last: e.time, rx_bytes: old.rx_bytes + e.rx_bytes, tx_bytes: old.tx_bytes + e.tx_bytes });
    } else if (all.size < most) {
      all.set(k, {
        address: e.address,
        allowed: e.allowed,
        count: 1,
        first: e.time,
        last: e.time,
        protocol: e.protocol,
        rule: e.rule,
        rx_bytes: e.rx_bytes,
        tx_bytes: e.tx_bytes,
        ...(e.host ? { host: e.host } : {}),
        ...(e.port ? { port: e.port } : {}),
        ...(e.mocked ? { mocked: true } : {}),
        ...(e.reason ? { reason: e.reason } : {}),
        ...(e.remedy ? { remedy: e.remedy } : {}),
        ...(e.step ? { step: e.step } : {}),
        ...(e.suggest ? { suggest: e.suggest } : {}),
      });
    }
  }
  return [...all.values()];
}

/** latest is the time of the last connection of a list; events up to it are in the list already. */
export function latest(all: Connected[]): number {
  return all.reduce((a, c) => Math.max(a, Date.parse(c.last)), 0);
}

/** sorted has the refused ones first, since they are what people look for. */
export function sorted(all: Connected[]): Connected[] {
  return [...all].sort((a, b) => Number(a.allowed) - Number(b.allowed) || Date.parse(a.first) - Date.parse(b.first));
}

/** place is where a connection went: a name or an address, with its port. */
export function place(c: Connected): string {
  const host = c.host || c.address;
  if (!c.port) return host;
  return host.includes(":") ? `[${host}]:${c.port}` : `${host}:${c.port}`;
}
