package link_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// A page's script sees no beats, and so no acknowledgements in them: each message is acknowledged in a
// message.
func TestScriptIsToldEachAcknowledgement(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		a, b := net.Pipe()
		h.wg.Go(func() { h.server.Serve(context.Background(), tcp.NewServer(b, 0)) })
		client := tcp.New(a, 0)
		defer client.Close()
		var acks []uint64
		h.wg.Go(func() {
			for {
				f, err := client.Read()
				if err != nil {
					return
				}
				var m struct {
					Type string
					Last uint64
				}
				if f.Type == link.Text && json.Unmarshal(f.Payload, &m) == nil && m.Type == "ack" {
					acks = append(acks, m.Last)
				}
			}
		})
		say := func(text string) {
			if err := client.Write(link.Frame{Type: link.Text, Payload: []byte(text)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		say(`{"type":"hello","session":"ann","text":true}`)
		for i := range 3 {
			say(fmt.Sprintf(`{"type":"event","seq":%d,"data":"x"}`, i+1))
		}
		synctest.Wait()
		if want := []uint64{1, 2, 3}; !slices.Equal(acks, want) {
			t.Errorf("acknowledged %v, want %v", acks, want)
		}
	})
}

// A plain client that takes its time until its first word is sent nothing but lines.
func TestPlainClientIsSentLinesOnly(t *testing.T) {
	inHarbour(t, link.Config{Interval: 100 * time.Millisecond}, func(t *testing.T, h *harbour) {
		a, b := net.Pipe()
		h.wg.Go(func() { h.server.Serve(context.Background(), tcp.NewServer(b, 0)) })
		defer a.Close()
		var lines []string
		h.wg.Go(func() {
			for s := bufio.NewScanner(a); s.Scan(); {
				lines = append(lines, s.Text())
				if rest, ok := strings.CutPrefix(s.Text(), "PING"); ok {
					fmt.Fprintf(a, "PONG%s\n", rest)
				}
			}
		})
		time.Sleep(900 * time.Millisecond)
		fmt.Fprintf(a, "PING hello\n")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for i, l := range lines {
			if l != "PONG hello" && !strings.HasPrefix(l, "PING ") {
				t.Fatalf("line %d is %q", i, l)
			}
		}
		if n := h.server.Stats().Beats.Load(); n < 90 {
			t.Errorf("%d beats in ten seconds, want one each 75 to 100 ms", n)
		}
		if s := h.server.Sessions(); len(s) != 1 || s[0].State != link.Up {
			t.Errorf("sessions %+v", s)
		}
	})
}
