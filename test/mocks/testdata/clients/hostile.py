"""Attacks the mocks with the attack that its argument names, and says when it is done."""
import os, random, resource, socket, ssl, struct, sys, threading, time

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
random.seed(1)


def dial(port=80):
    return socket.create_connection(("no.such.example", port), timeout=20)


def drain(s):
    try:
        while s.recv(1 << 16):
            pass
    except OSError:
        pass


def push(s, data, seconds):
    """Sends data again and again until the time is over or sending fails. Returns the number of bytes sent."""
    end, n = time.time() + seconds, 0
    try:
        while time.time() < end:
            s.sendall(data)
            n += len(data)
    except OSError:
        pass
    return n


def side_by_side(n, f):
    def safe(i):
        try:
            f(i)
        except OSError:
            pass

    threads = [threading.Thread(target=safe, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def commands():
    held = []
    for i in range(400):
        try:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(5)
            s.connect("/run/mayfly/commands.sock")
            # Random bytes, an argument of 2 GB, and calls whose arguments never end.
            s.sendall([random.randbytes(1000), struct.pack(">I", 0x7FFFFFFF) + bytes(1000), struct.pack(">I", 6) + b"deploy"][i % 3])
            held.append(s)
        except OSError:
            pass
    try:
        s = socket.socket(socket.AF_UNIX)
        s.connect("/run/mayfly/commands.sock")
        s.sendall(struct.pack(">I", 6) + b"deploy" + struct.pack(">I", 0xFFFFFFFF))
        print("stdin", push(s, struct.pack(">I", 1 << 20) + bytes(1 << 20), 3) > 0)
    except OSError as e:
        print(e)


def many():
    held = []
    for _ in range(3000):
        try:
            s = dial()
            held.append(s)
            s.sendall(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")  # never answered: others have a deadline
        except OSError:
            pass
    print("open", len(held))
    time.sleep(1)


def headers():
    def one(_):
        s = dial()
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        push(s, b"X-Header: " + b"a" * 60000 + b"\r\n", 3)

    side_by_side(20, one)


def body():
    def one(_):
        s = dial()
        s.sendall(b"POST /endless HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        push(s, b"10000\r\n" + bytes(0x10000) + b"\r\n", 2)

    side_by_side(20, one)


def tls():
    def one(i):
        s = dial(443)
        s.settimeout(3)
        s.sendall(b"\x16\x03\x01" + struct.pack(">H", 16384) + random.randbytes(16384 if i % 2 else 100))
        drain(s)

    side_by_side(200, one)


def slow():
    held = [dial() for _ in range(900)]
    for c in b"GET / HTTP/1.1\r\nHo":
        for s in held:
            try:
                s.send(bytes([c]))
            except OSError:
                pass
        time.sleep(0.2)


def midway():
    def one(i):
        for j in range(20):
            s = dial()
            s.sendall([b"GE", b"GET /a HTTP/1.1\r\nHost", b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf"][j % 3])
            if j % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()

    side_by_side(50, one)


def flood():
    def one(i):
        for j in range(30):
            s = dial()
            s.sendall(b"GET /%d-%d/%s?%s=%s HTTP/1.1\r\nHost: x\r\n\r\n" % (i, j, b"a" * 20000, b"b" * 20000, b"c" * 20000))
            drain(s)
            s.close()

    side_by_side(40, one)


globals()[sys.argv[1]]()
print("done", sys.argv[1])
