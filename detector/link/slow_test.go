package link_test

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// sipping is a socket of which little is read at a time.
type sipping struct {
	net.Conn
	rate int // bytes a second
}

func (s sipping) Read(b []byte) (int, error) {
	b = b[:min(len(b), s.rate/50)]
	time.Sleep(time.Duration(len(b)) * time.Second / time.Duration(s.rate))
	return s.Conn.Read(b)
}

// A reader of 100 KB/s that is sent 20 MB has its kernel take more in steps that are many intervals apart, and answers no ping within
// a minute. The acknowledgements of its host say that it is alive.
func TestSlowReaderOnASocket(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells what is acknowledged")
	}
	t.Parallel() // it waits
	server, err := link.NewServer(link.Config{Interval: 500 * time.Millisecond, MaxMessage: 20 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(context.Background(), tcp.NewServer(far, 0))
	client := tcp.New(sipping{near, 100 << 10}, 20<<20)
	client.Write(link.Frame{Type: link.Text, Payload: []byte(`{"type":"hello","session":"ann"}`)})
	go func() {
		for {
			f, err := client.Read()
			if err != nil {
				return
			}
			if f.Type == link.Ping {
				client.Write(link.Frame{Type: link.Pong, Payload: f.Payload})
			}
		}
	}()
	for begin := time.Now(); server.Stats().Beats.Load() < 5; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatal("no beats")
		}
	}
	if err := server.Send("ann", make([]byte, 20<<20)); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for time.Since(begin) < 10*time.Second {
		time.Sleep(50 * time.Millisecond)
		if s, _ := server.Session("ann"); s.State >= link.Away {
			t.Fatalf("%v after %v, for %v", s.State, time.Since(begin), s.Cause)
		}
	}
}
