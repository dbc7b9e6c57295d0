package ws_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
	"github.com/pulsering/pulsering/detector/link/ws"
)

// client is a WebSocket client that is none of ours, in Python's standard library.
const client = `
import base64, hashlib, os, socket, struct, sys
host, port, what = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.create_connection((host, port), timeout=20)
f = s.makefile("rb")
key = base64.b64encode(os.urandom(16)).decode()
s.sendall(("GET / HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n" % (host, port, key)).encode())
assert b" 101 " in f.readline()
accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
headers = b""
while True:
    line = f.readline()
    if line == b"\r\n": break
    headers += line
assert accept in headers, headers

def send(op, data, fin=True, masked=True):
    head = bytes([op | (0x80 if fin else 0)])
    n, m = len(data), 0x80 if masked else 0
    head += bytes([m | n]) if n < 126 else bytes([m | 126]) + struct.pack(">H", n) if n < 1 << 16 else bytes([m | 127]) + struct.pack(">Q", n)
    if masked:
        mask = os.urandom(4)
        data = mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))
    s.sendall(head + data)

def recv():
    a, b = f.read(2)
    assert a & 0x70 == 0 and b & 0x80 == 0, (a, b)
    n = b & 0x7f
    if n == 126: n, = struct.unpack(">H", f.read(2))
    elif n == 127: n, = struct.unpack(">Q", f.read(8))
    return a & 15, f.read(n)

def until(want):
    while True:
        op, data = recv()
        if op == 9: send(10, data)
        elif op in want: return op, data

def closed(code, word):
    op, data = until([8])
    got, = struct.unpack(">H", data[:2])
    reason = data[2:].decode("utf-8")
    assert got == code and word in reason, (got, reason)
    assert f.read() == b""

if what == "live":
    pings = 0
    while pings < 5:
        op, data = recv()
        if op == 9:
            send(10, data)
            pings += 1
    send(1, b"PING 42")
    assert until([1]) == (1, b"PONG 42")
    send(1, b"PI", fin=False)
    send(9, b"between")
    send(0, b"NG 43", fin=True)
    assert until([10]) == (10, b"between")
    assert until([1]) == (1, b"PONG 43")
    send(8, struct.pack(">H", 1000) + b"bye")
    closed(1000, "")
elif what == "unmasked":
    send(1, b"PING", masked=False)
    closed(1002, "mask")
elif what == "long":
    try: send(2, b"x" * 8000)
    except OSError: pass
    closed(1009, "want at most")
elif what == "gigabyte":
    s.sendall(bytes([0x82, 0xff]) + struct.pack(">Q", 1 << 30) + b"mask" + b"x" * 1000)
    closed(1009, "1073741824 bytes")
elif what == "continuation":
    send(0, b"x")
    closed(1002, "continuation")
elif what == "begins twice":
    send(1, b"x", fin=False)
    send(1, b"x")
    closed(1002, "continuation")
elif what == "long ping":
    send(9, b"x" * 126)
    closed(1002, "control")
elif what == "ping in pieces":
    send(9, b"x", fin=False)
    closed(1002, "control")
elif what == "reserved":
    send(3, b"x")
    closed(1002, "op code")
elif what == "no text":
    send(1, b"\xff\xfe")
    closed(1002, "UTF-8")
elif what == "bad close":
    send(8, struct.pack(">H", 1005))
    closed(1002, "close")
elif what == "negative":
    s.sendall(bytes([0x82, 0xff]) + b"\xff" * 8 + b"mask")
    closed(1002, "bit")
else:
    sys.exit("what is " + what)
`

// plain is a client of framed TCP's port in ten lines.
const plain = `
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
f = s.makefile("rw", newline="\n")
f.write("PING first\n"); f.flush()
pings = pongs = 0
while pings < 5:
    word, rest = (f.readline().rstrip("\n").split(" ", 1) + [""])[:2]
    if word == "PING":
        f.write("PONG " + rest + "\n"); f.flush(); pings += 1
    pongs += word == "PONG" and rest == "first"
assert pongs == 1
`

func python(t *testing.T, script string, args ...string) {
	t.Helper()
	exe, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here, in which the client is written:", err)
	}
	if out, err := exec.Command(exe, append([]string{"-c", script}, args...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func gateway(t *testing.T, cfg link.Config) (*link.Server, string) {
	t.Helper()
	server, err := link.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	handler := &ws.Handler{Server: server, MaxMessage: cfg.MaxMessage}
	web := httptest.NewServer(handler)
	t.Cleanup(func() { web.Close(); handler.Close(); server.Close() })
	return server, web.Listener.Addr().String()
}

func TestStranger(t *testing.T) {
	server, addr := gateway(t, link.Config{Interval: 50 * time.Millisecond, MaxMessage: 1000})
	host, port, _ := net.SplitHostPort(addr)
	for _, what := range []string{
		"live", "unmasked", "long", "gigabyte", "continuation", "begins twice", "long ping", "ping in pieces", "reserved", "no text",
		"bad close", "negative",
	} {
		t.Run(what, func(t *testing.T) { python(t, client, host, port, what) })
	}
	for begin := time.Now(); server.Stats().Connections.Load() > 0 && time.Since(begin) < 10*time.Second; {
		time.Sleep(10 * time.Millisecond)
	}
	if n := server.Stats().Connections.Load(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func TestPlainStranger(t *testing.T) {
	server, err := link.NewServer(link.Config{Interval: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go server.Serve(t.Context(), tcp.NewServer(conn, 0))
		}
	}()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	python(t, plain, host, port)
	if n := server.Stats().Beats.Load(); n < 4 {
		t.Errorf("%d beats", n)
	}
}

// Pages of other hosts are refused, and whoever asks for no upgrade is answered and let go.
func TestRequests(t *testing.T) {
	server, addr := gateway(t, link.Config{})
	client := &http.Client{Timeout: 10 * time.Second}
	for _, test := range []struct {
		origin string
		status int
	}{{"", 0}, {"http://evil.example", 403}, {"null", 403}, {"://", 403}, {"http://" + addr, 0}} {
		r, _ := http.NewRequest("GET", "http://"+addr, nil)
		if test.origin != "" {
			r.Header.Set("Origin", test.origin)
		}
		a, err := client.Do(r)
		if err != nil {
			t.Errorf("origin %q: %v", test.origin, err)
			continue
		}
		a.Body.Close()
		if a.StatusCode < 400 || test.status != 0 && a.StatusCode != test.status {
			t.Errorf("origin %q: %s", test.origin, a.Status)
		}
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	all := make([]byte, 4096)
	n := 0
	for err == nil {
		var m int
		m, err = conn.Read(all[n:])
		n += m
	}
	if e, ok := err.(net.Error); ok && e.Timeout() || !strings.HasPrefix(string(all[:n]), "HTTP/1.1 ") {
		t.Errorf("a request without an upgrade is answered %q and kept: %v", all[:n], err)
	}
	if n := server.Stats().Connections.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}
