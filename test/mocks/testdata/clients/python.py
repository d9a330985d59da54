"""Does the features that its arguments name, with the client that the first argument names, and prints each outcome."""
import asyncio, gzip, http.client, http.server, json, os, socket, ssl, sys, threading, time
import urllib.error, urllib.request

PLAIN = [b'{"chu', b'nked": true}']
JSON = {"Content-Type": "application/json"}


def by_requests():
    import requests

    def ask(url, method="GET", data=None, headers=None, timeout=20, session=requests):
        r = session.request(method, url, data=data, headers=headers, timeout=timeout)
        return r.status_code, r.content

    def keep():
        with requests.Session() as s:
            return [ask("http://keep.example/hello", session=s)[0] for _ in range(3)]

    return ask, keep


def by_urllib():
    class Post(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, req, fp, code, msg, headers, newurl):
            if code == 307:  # urllib itself doesn't follow this one for a POST
                return urllib.request.Request(newurl, data=req.data, headers=JSON, method=req.get_method())
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    opener = urllib.request.build_opener(Post)

    def ask(url, method="GET", data=None, headers=None, timeout=20):
        try:
            with opener.open(urllib.request.Request(url, data=data, headers=headers or {}, method=method), timeout=timeout) as r:
                text = r.read()
                return r.status, gzip.decompress(text) if r.headers["Content-Encoding"] == "gzip" and text else text
        except urllib.error.HTTPError as e:
            with e:
                return e.code, e.read()

    return ask, None


def by_http_client():
    from urllib.parse import urlsplit

    def ask(url, method="GET", data=None, headers=None, timeout=20, connection=None):
        u = urlsplit(url)
        new = http.client.HTTPSConnection if u.scheme == "https" else http.client.HTTPConnection
        c = connection or new(u.hostname, u.port or (443 if u.scheme == "https" else 80), timeout=timeout)
        c.request(method, u.path, body=data, headers=headers or {}, encode_chunked=not isinstance(data, (bytes, type(None))))
        r = c.getresponse()
        text = r.read()
        return r.status, gzip.decompress(text) if r.headers["Content-Encoding"] == "gzip" else text

    def keep():
        c = http.client.HTTPConnection("keep.example")
        return [ask("http://keep.example/hello", connection=c)[0] for _ in range(3)]

    return ask, keep


def by_aiohttp():
    import aiohttp

    async def chunks(parts):
        for p in parts:
            yield p

    async def many(url, method, data, headers, timeout, times):
        out = []
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as s:
            for _ in range(times):
                body = data if isinstance(data, (bytes, type(None))) else chunks(data)
                async with s.request(method, url, data=body, headers=headers) as r:
                    out.append((r.status, await r.read()))
        return out

    def ask(url, method="GET", data=None, headers=None, timeout=20):
        return asyncio.run(many(url, method, data, headers, timeout, 1))[0]

    def keep():
        return [s for s, _ in asyncio.run(many("http://keep.example/hello", "GET", None, None, 20, 3))]

    return ask, keep


def parts():
    yield from PLAIN


def zeros(size):
    chunk = bytes(1 << 20)
    for _ in range(size >> 20):
        yield chunk


def show(answer):
    status, text = answer
    return f"{status} {text.decode()}".strip()


def own_server():
    class Own(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"own")

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 9000), Own)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def together(ask):
    good = []

    def one():
        good.append(ask("http://together.example/together")[0] == 200)

    threads = [threading.Thread(target=one) for _ in range(50)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return str(sum(good))


def one(feature, ask, keep):
    get = lambda url, **more: show(ask(url, **more))
    match feature:
        case "http-name": return get("http://no.such.example/hello")
        case "https-name": return get("https://no.such.example/hello")
        case "localhost": return get("http://localhost:8080/hello")
        case "127.0.0.1": return get("http://127.0.0.1:8081/hello")
        case "::1": return get("http://[::1]:8082/hello")
        case "localhost-tls": return get("https://localhost:8443/hello")
        case "ipv4": return get("http://93.184.216.34/hello")
        case "ipv4-tls": return get("https://93.184.216.34/hello")
        case "ipv6-tls": return get("https://[2001:db8::1]/hello")
        case "keep-alive": return " ".join(map(str, keep()))
        case "chunked": return get("http://api.example/chunked", method="POST", data=parts(), headers=JSON)
        case "gzip": return get("http://api.example/zipped", headers={"Accept-Encoding": "gzip"})
        case "gzip-request": return get("http://api.example/unzipped", method="POST", data=gzip.compress(b'{"zipped": true}'), headers=JSON | {"Content-Encoding": "gzip"})
        case "redirects": return get("http://old.example/moved")
        case "redirect-post": return get("http://api.example/kept", method="POST", data=b'{"kept": true}', headers=JSON)
        case "head": return get("http://api.example/hello", method="HEAD")
        case "no-content": return get("http://api.example/none")
        case "delay": return get("http://api.example/late")
        case "reset": return get("http://api.example/reset")
        case "never": return get("http://api.example/never", timeout=1)
        case "sequence": return " ".join(str(ask("http://api.example/sequence")[0]) for _ in range(3))
        case "parallel": return together(ask)
        case "own-server":
            own_server()
            return get("http://127.0.0.1:9000/own.txt")
        case "other-port": return get("http://127.0.0.1:9001/hello")
        case "unmatched": return get("http://no.such.example/hallo")
        case "unmatched-tls": return get("https://no.such.example/hallo")
        case "denied": return get("http://denied.example/hello")
        case "down":
            status, text = ask(os.environ["SCHEME"] + "://large.example/large")
            return f"{status} {len(text)}"
        case "up":
            return f'{ask(os.environ["SCHEME"] + "://large.example/upload", method="PUT", data=zeros(100 << 20))[0]} {100 << 20}'
    return "unknown"


clients = {"requests": by_requests, "urllib": by_urllib, "http.client": by_http_client, "aiohttp": by_aiohttp}
ask, keep = clients[sys.argv[1]]()
for feature in sys.argv[2:]:
    try:
        outcome = one(feature, ask, keep)
    except Exception as e:
        text = f"{type(e).__name__} {e}"
        low = text.lower()
        if "reset" in low:
            outcome = "reset"
        elif "without response" in low or "eof" in low or "disconnected" in low:
            outcome = "cut"  # ssl reports a reset like this too
        elif "timed out" in low or isinstance(e, TimeoutError):
            outcome = "timed out"
        elif "refused" in low or "connect call failed" in low:
            outcome = "refused"
        else:
            outcome = text
    print(feature, outcome, sep="\t", flush=True)
