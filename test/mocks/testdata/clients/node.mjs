// Does the features that its arguments name, with fetch and node:http2, and prints each outcome.
import http2 from "node:http2";
import http from "node:http";
import zlib from "node:zlib";

const json = { "Content-Type": "application/json" };
const get = async (url, options) => {
  const r = await fetch(url, options);
  return `${r.status} ${await r.text()}`.trim();
};
const times = async (n, f) => {
  const out = [];
  for (let i = 0; i < n; i++) out.push(await f());
  return out.join(" ");
};
const second = (url) =>
  new Promise((resolve, reject) => {
    const session = http2.connect(url);
    session.on("error", reject);
    const stream = session.request({ ":path": "/hello" });
    let status, text = "";
    stream.on("response", (h) => (status = h[":status"]));
    stream.on("data", (d) => (text += d));
    stream.on("end", () => { session.close(); resolve(`${status} ${text}`); });
    stream.on("error", reject);
    stream.end();
  });
const features = {
  "http-name": () => get("http://no.such.example/hello"),
  "https-name": () => get("https://no.such.example/hello"),
  "localhost": () => get("http://localhost:8080/hello"),
  "127.0.0.1": () => get("http://127.0.0.1:8081/hello"),
  "::1": () => get("http://[::1]:8082/hello"),
  "localhost-tls": () => get("https://localhost:8443/hello"),
  "ipv4": () => get("http://93.184.216.34/hello"),
  "ipv4-tls": () => get("https://93.184.216.34/hello"),
  "ipv6-tls": () => get("https://[2001:db8::1]/hello"),
  "keep-alive": () => times(3, async () => { const r = await fetch("http://keep.example/hello"); await r.text(); await new Promise((resolve) => setTimeout(resolve, 50)); return r.status; }),
  "http2": () => second("https://h2.example"),
  "http2-plain": () => second("http://h2c.example"),
  "chunked": () => get("http://api.example/chunked", {
    method: "POST", headers: json, duplex: "half",
    body: new ReadableStream({ start(c) { for (const p of ['{"chu', 'nked": true}']) c.enqueue(new TextEncoder().encode(p)); c.close(); } }),
  }),
  "gzip": () => get("http://api.example/zipped"),
  "gzip-request": () => get("http://api.example/unzipped", { method: "POST", headers: { ...json, "Content-Encoding": "gzip" }, body: zlib.gzipSync('{"zipped": true}') }),
  "redirects": () => get("http://old.example/moved"),
  "redirect-post": () => get("http://api.example/kept", { method: "POST", headers: json, body: '{"kept": true}' }),
  "head": () => get("http://api.example/hello", { method: "HEAD" }),
  "no-content": () => get("http://api.example/none"),
  "delay": () => get("http://api.example/late"),
  "reset": () => get("http://api.example/reset"),
  "never": () => get("http://api.example/never", { signal: AbortSignal.timeout(1000) }),
  "sequence": () => times(3, async () => { const r = await fetch("http://api.example/sequence"); await r.text(); return r.status; }),
  "parallel": async () => (await Promise.all([...Array(50)].map(() => get("http://together.example/together")))).filter((x) => x === "200 together").length,
  "own-server": async () => {
    const server = http.createServer((_, w) => w.end("own"));
    await new Promise((resolve) => server.listen(9000, "127.0.0.1", resolve));
    server.unref();
    return get("http://127.0.0.1:9000/own.txt");
  },
  "other-port": () => get("http://127.0.0.1:9001/hello"),
  "unmatched": () => get("http://no.such.example/hallo"),
  "unmatched-tls": () => get("https://no.such.example/hallo"),
  "denied": () => get("http://denied.example/hello"),
};
for (const name of process.argv.slice(2)) {
  let outcome;
  try {
    outcome = features[name] ? await features[name]() : "unknown";
  } catch (e) {
    const text = `${e.name} ${e.message} ${e.cause?.code} ${e.cause?.message} ${e.code}`;
    outcome = /ECONNRESET|other side closed/.test(text) ? "reset" : /Timeout|timeout|Abort/.test(text) ? "timed out" : /ECONNREFUSED/.test(text) ? "refused" : text;
  }
  console.log(`${name}\t${outcome}`);
}
process.exit(0);
