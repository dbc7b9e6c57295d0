package tcp

import (
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestKeepAliveValidate(t *testing.T) {
	for _, test := range []struct {
		k    KeepAlive
		want []string // field, value and limit; nothing: it is valid
	}{
		{KeepAlive{}, nil},
		{KeepAlive{Off: true}, nil},
		{KeepAlive{Idle: time.Second, Interval: 32767 * time.Second, Probes: 127, SlowReader: time.Second}, nil},
		{KeepAlive{Idle: -1}, []string{"KeepAlive.Idle: -1ns: ", "1s to 9h6m7s"}},
		{KeepAlive{Idle: 1500 * ms}, []string{"KeepAlive.Idle: 1.5s: ", "whole seconds"}},
		{KeepAlive{Interval: 32768 * time.Second}, []string{"KeepAlive.Interval: 9h6m8s: ", "1s to 9h6m7s"}},
		{KeepAlive{Probes: 128}, []string{"KeepAlive.Probes: 128: ", "1 to 127"}},
		{KeepAlive{Probes: -1, Idle: 1}, []string{"KeepAlive.Probes: -1: ", "KeepAlive.Idle: 1ns: "}},
		{KeepAlive{SlowReader: ms}, []string{"KeepAlive.SlowReader: 1ms: ", "1s to 24h"}},
		{KeepAlive{SlowReader: -time.Second}, []string{"KeepAlive.SlowReader: -1s: "}},
		{KeepAlive{SlowReader: time.Second + 1}, []string{"KeepAlive.SlowReader: 1.000000001s: ", "whole milliseconds"}},
	} {
		err := test.k.Validate()
		if (err == nil) != (test.want == nil) {
			t.Errorf("%+v: %v", test.k, err)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v; want %q in it", test.k, err, want)
			}
		}
		if set := test.k.Set(nil); err != nil && (set == nil || set.Error() != err.Error()) {
			t.Errorf("%+v: Set says %v; want %v", test.k, set, err)
		}
	}
}

func TestFoundAfter(t *testing.T) {
	const second = time.Second
	for _, test := range []struct {
		k    KeepAlive
		want time.Duration
	}{
		{KeepAlive{}, 30 * second},
		{KeepAlive{Idle: 7200 * second, Interval: 75 * second, Probes: 9}, 2*time.Hour + 11*time.Minute + 15*second},
		{KeepAlive{Idle: 15 * second, Interval: 15 * second, Probes: 9}, 150 * second},
		{KeepAlive{Idle: 5 * second, Interval: 2 * second, Probes: 3}, 11 * second},
		{KeepAlive{Idle: 5 * second, Interval: 2 * second, Probes: 3, SlowReader: 30 * second}, 31 * second},
		{KeepAlive{Idle: 5 * second, Interval: 2 * second, Probes: 3, SlowReader: 7 * second}, 7 * second},
		{KeepAlive{Idle: 5 * second, Interval: 2 * second, Probes: 3, SlowReader: second}, 7 * second}, // one probe it gets
		{KeepAlive{Off: true}, -1},
	} {
		if got := test.k.FoundAfter(); got != test.want {
			t.Errorf("%+v: %v; want %v", test.k, got, test.want)
		}
	}
}

// pair is a connection on loopback.
func pair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	one, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		one.Close()
		other.Close()
	})
	return one.(*net.TCPConn), other.(*net.TCPConn)
}

// What is set is what the kernel has, on both ends, below TLS, and as often as it is set.
func TestKeepAliveOfSockets(t *testing.T) {
	near, far := pair(t)
	for _, conn := range []net.Conn{near, far, tls.Client(near, &tls.Config{ServerName: "x"}), tls.Server(tls.Client(far, nil), nil)} {
		for _, k := range []KeepAlive{
			{},
			{Idle: 7 * time.Second, Interval: 2 * time.Second, Probes: 4, SlowReader: 12345 * ms},
			{Idle: 32767 * time.Second, Interval: 32767 * time.Second, Probes: 127},
			{Off: true},
			{Idle: time.Second, Interval: time.Second, Probes: 1},
		} {
			if runtime.GOOS != "linux" && k.SlowReader != 0 {
				if err := k.Set(conn); !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("%+v: %v", k, err)
				}
				continue
			}
			if err := k.Set(conn); err != nil {
				t.Fatalf("%+v: %v", k, err)
			}
			got, err := ReadKeepAlive(conn)
			if runtime.GOOS != "linux" {
				if !errors.Is(err, ErrNoInfo) {
					t.Errorf("%+v: %v", k, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if k.Off {
				got.Idle, got.Interval, got.Probes = 0, 0, 0 // whatever was before
				k = KeepAlive{Off: true}
			} else {
				k = k.withDefaults()
			}
			if got != k {
				t.Errorf("set %+v, read %+v", k, got)
			}
		}
	}
}

func TestInfoOfSockets(t *testing.T) {
	near, far := pair(t)
	if runtime.GOOS != "linux" {
		if _, err := ReadInfo(near); !errors.Is(err, ErrNoInfo) {
			t.Error(err)
		}
		return
	}
	read := func(conn net.Conn) Info {
		t.Helper()
		i, err := ReadInfo(conn)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	if _, err := near.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Read(make([]byte, 9)); err != nil {
		t.Fatal(err)
	}
	if i := read(far); i.State != "established" || i.BytesReceived != 5 || i.LastDataReceived > time.Minute {
		t.Errorf("the far end: %+v", i)
	}
	if i := read(tls.Client(near, nil)); i.State != "established" || i.RTT <= 0 || i.RTO <= 0 || i.Retransmits != 0 || i.Window <= 0 {
		t.Errorf("the near end: %+v", i)
	}
	far.Close()
	if _, err := near.Read(make([]byte, 9)); HowEnded(err, nil) != EndClean {
		t.Errorf("read after the far end closed: %v", err)
	}
	if i := read(near); i.State != "close-wait" || i.Verdict(time.Hour, time.Second) == Stuck {
		t.Errorf("after the far end closed: %+v", i)
	}
	near.Close()
	for _, of := range []func(net.Conn) error{
		func(c net.Conn) error { _, err := ReadInfo(c); return err },
		func(c net.Conn) error { _, err := ReadKeepAlive(c); return err },
		KeepAlive{}.Set,
		KeepAlive{SlowReader: time.Minute}.Set,
	} {
		if err := of(near); !errors.Is(err, net.ErrClosed) {
			t.Errorf("of a closed connection: %v", err)
		}
	}
}

// A socket of another kind has none of it.
func TestUnixSocket(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Skip(err)
	}
	defer listener.Close()
	conn, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := ReadInfo(conn); !errors.Is(err, ErrNoInfo) {
		t.Error(err)
	}
	if _, err := ReadKeepAlive(conn); !errors.Is(err, ErrNoInfo) {
		t.Error(err)
	}
	if err := (KeepAlive{}).Set(conn); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

// hidden is a connection above a socket that cannot be reached.
type hidden struct{ net.Conn }

// What sleeps undisturbed has no keep-alive: where it cannot be turned off that is an error.
func TestQuiet(t *testing.T) {
	client, server := pair(t)
	for _, conn := range []net.Conn{client, server} {
		if err := Quiet(hidden{conn}); err == nil {
			t.Error("a socket that cannot be reached is quiet")
		}
		if err := New(conn, 0).Quiet(); err != nil {
			t.Error(err)
		}
		if has, err := ReadKeepAlive(conn); !errors.Is(err, ErrNoInfo) && (err != nil || !has.Off) {
			t.Errorf("%+v, %v; want keep-alive off", has, err)
		}
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if err := Quiet(a); err != nil {
		t.Errorf("a pipe has no keep-alive: %v", err)
	}
	if err := Quiet(nil); err != nil {
		t.Errorf("no socket has no keep-alive: %v", err)
	}
}
