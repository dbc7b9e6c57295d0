// Command game has players whose positions travel in their heartbeats. The connection of one fails
// again and again for 5 s, and none of the others sees it leave.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "ip:port of the game")
	join := flag.String("join", "", "ip:port of a game to walk about in (none: begin one, with three players)")
	name := flag.String("name", "", "name of the player who joins (default: one that the game makes up)")
	drop := flag.Duration("drop", 5*time.Second, "how long a player's connection fails")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := error(nil)
	if *join != "" {
		err = walkIn(ctx, *join, *name)
	} else {
		err = play(ctx, *listen, *drop, os.Stdout, isatty.IsTerminal(os.Stdout.Fd()))
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

// walkIn is one player in a process of its own.
func walkIn(ctx context.Context, addr, name string) error {
	w, err := newWalker(ctx, name, (&cable{addr: addr}).dial)
	if err != nil {
		return fmt.Errorf("%w: is there a game at %s?", err, addr)
	}
	defer w.client.Close()
	log.Printf("%s walks about; Ctrl-C leaves", w.client.Session().ID)
	w.walk(ctx)
	return nil
}

// cable connects a player, and can be pulled.
type cable struct {
	addr string

	mu   sync.Mutex
	out  bool
	conn net.Conn
}

func (c *cable) dial(ctx context.Context) (link.Transport, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out {
		conn.Close()
		return nil, errors.New("the cable is out")
	}
	c.conn = conn
	return tcp.New(conn, 0), nil
}

func (c *cable) set(out bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out = out; out && c.conn != nil {
		c.conn.Close()
	}
}

// play is a game with three players, of whom one drops out again and again, until ctx ends.
func play(ctx context.Context, addr string, drop time.Duration, out io.Writer, terminal bool) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w: choose another -listen", err)
	}
	g, err := newGame()
	if err != nil {
		l.Close()
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer g.server.Close()
	defer stop()
	wg.Go(func() { g.accept(ctx, l) })
	var last *cable
	for _, name := range []string{"ann", "bob", "cem"} {
		last = &cable{addr: l.Addr().String()}
		w, err := newWalker(ctx, name, last.dial)
		if err != nil {
			return err
		}
		defer w.client.Close()
		wg.Go(func() { w.walk(ctx) })
	}
	wg.Go(func() {
		for pulled := true; ctx.Err() == nil; pulled = !pulled {
			select {
			case <-time.After(drop):
			case <-ctx.Done():
			}
			last.set(pulled)
		}
	})
	v := &view{out: out, terminal: terminal, addr: l.Addr().String()}
	defer v.end()
	g.run(ctx, v.show)
	return nil
}

// view draws the field: on a terminal as a picture that moves, elsewhere as a line a second.
type view struct {
	out      io.Writer
	terminal bool
	addr     string
	frames   int
	drawn    bool
}

const fieldWidth, fieldHeight = 60, 14

func (v *view) show(world []player) {
	v.frames++
	if !v.terminal {
		if v.frames%20 == 1 {
			for _, p := range world {
				fmt.Fprintf(v.out, "%s %-7s at %.2f %.2f  rtt %.2f ms  ", p.Name, p.State, p.X, p.Y, p.RTT)
			}
			fmt.Fprintln(v.out)
		}
		return
	}
	if v.frames%2 == 0 { // ten pictures a second are smooth enough
		return
	}
	var b strings.Builder
	if v.drawn {
		b.WriteString("\x1b[H")
	} else {
		b.WriteString("\x1b[2J\x1b[H\x1b[?25l") // no cursor
		v.drawn = true
	}
	field := make([][]string, fieldHeight)
	for y := range field {
		field[y] = make([]string, fieldWidth)
		for x := range field[y] {
			field[y][x] = " "
		}
	}
	for i, p := range world {
		dot := fmt.Sprintf("\x1b[3%dm●\x1b[0m", 1+i%6)
		if p.State == "away" {
			dot = fmt.Sprintf("\x1b[2;3%dm○\x1b[0m", 1+i%6)
		}
		field[min(int(p.Y*fieldHeight), fieldHeight-1)][min(int(p.X*fieldWidth), fieldWidth-1)] = dot
	}
	b.WriteString("┌" + strings.Repeat("─", fieldWidth) + "┐\x1b[K\n")
	for _, row := range field {
		b.WriteString("│" + strings.Join(row, "") + "│\x1b[K\n")
	}
	b.WriteString("└" + strings.Repeat("─", fieldWidth) + "┘\x1b[K\n")
	b.WriteString("  player            state    round trip    drift   state no.\x1b[K\n")
	for i, p := range world {
		// A name is the player's own choice: it must not draw.
		fmt.Fprintf(&b, "\x1b[3%dm●\x1b[0m %-16.16s  %-7s %8.2f ms %5.0f ms  %10d\x1b[K\n",
			1+i%6, strings.Trim(fmt.Sprintf("%+q", p.Name), `"`), p.State, p.RTT, p.Drift, p.Seq)
	}
	fmt.Fprintf(&b, "another one: go run ./examples/game -join %s -name you; Ctrl-C ends\x1b[K\n\x1b[J", v.addr)
	io.WriteString(v.out, b.String())
}

// end gives the terminal its cursor back.
func (v *view) end() {
	if v.drawn {
		io.WriteString(v.out, "\x1b[?25h")
	}
}
