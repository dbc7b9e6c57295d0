package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/pulsering/pulsering/detector"
	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// options are what a show is like.
type options struct {
	devices int
	every   time.Duration // between the beats of a device by day
	last    time.Duration // how long it goes on when all devices are there; 0: until it is ended
	faults  int           // of each kind, a day
	report  time.Duration // between two reports to the center
	grace   time.Duration
	files   int // that a process may have open
}

// spareFiles is how many files a process needs beside its connections.
const spareFiles = 64

// affordable is how many devices there can be where a process may have so many files open, and why
// there are not more.
func affordable(devices, files int) (n int, why string) {
	n = min(devices, files-spareFiles)
	if n < devices {
		why = fmt.Sprintf("%d of %d devices: a process may have %d files open (ulimit -Hn), "+
			"%d of them for other things", max(0, n), devices, files, spareFiles)
	}
	return max(0, n), why
}

// result is what a show has come to.
type result struct {
	score     score
	delivered int // wills
	doubles   int // of these for a death that one was delivered for
	made      int
}

// show is a gateway with devices, and a center. Its loop owns the screen.
type show struct {
	options
	screen   *screen
	begun    time.Time
	center   *center
	gateway  *gateway
	process  *child
	whole    time.Time // when all devices were there
	warned   bool
	reported struct{ reports, bytes, beats int } // before all were there

	mu       sync.Mutex // of what the gateway's goroutines tell
	director *director
	wills    []will
	deaths   map[string]time.Time // the latest that a will was delivered for
	result   result
}

// run plays a show until ctx ends or its time is over.
func run(ctx context.Context, o options, s *screen) (result, error) {
	n, why := affordable(o.devices, o.files)
	if why != "" {
		s.say("%s", why)
	}
	if n == 0 {
		return result{}, errors.New("no device is possible: raise the limit of open files")
	}
	o.devices = n
	w := &show{options: o, screen: s, begun: time.Now(), deaths: map[string]time.Time{}}
	w.director = newDirector(n, min(o.faults, n/10), o.every)
	err := w.play(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.result.score = w.director.score
	if err == nil {
		err = s.err
	}
	return w.result, err
}

func (w *show) play(ctx context.Context) error {
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if w.center, err = newCenter(at, w.every); err != nil {
		at.Close()
		return err
	}
	defer w.center.close()
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	dial := func(ctx context.Context) (link.Transport, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.Addr().String())
		if err != nil {
			return nil, err
		}
		return tcp.New(conn, maxReport), nil
	}
	if w.gateway, err = newGateway(ctx, door, dial, w.every, w.grace); err != nil {
		door.Close()
		return err
	}
	defer w.gateway.close()
	w.gateway.wills.subscribe(w.inherit)
	events := w.gateway.server.Events(w.gateway.ctx)
	w.gateway.wg.Go(func() {
		for e := range events {
			w.mu.Lock()
			w.director.saw(e)
			w.mu.Unlock()
		}
	})
	w.process, err = startChild(task{door.Addr().String(), w.devices, w.every})
	if err != nil {
		return err
	}
	defer w.process.close()
	err = w.loop(ctx)
	w.settle()
	w.summary()
	w.gateway.cancel() // nobody has to hear how ten thousand connections end with the process
	return err
}

// loop reports, draws and has faults happen.
func (w *show) loop(ctx context.Context) error {
	tick := time.NewTicker(w.report)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			sessions, err := w.gateway.report(now)
			if err != nil {
				return err
			}
			status, err := w.process.now()
			if err != nil {
				return err
			}
			if err := w.act(now, status); err != nil {
				return err
			}
			w.screen.show(w.picture(now, sessions, status))
			if w.last > 0 && !w.whole.IsZero() && now.Sub(w.whole) >= w.last {
				return nil
			}
		}
	}
}

// settle lets those who count deaths and those who count wills have heard of the same: each reads
// events of its own.
func (w *show) settle() {
	for range 20 {
		w.mu.Lock()
		same := w.result.delivered == w.director.score.Gone
		w.mu.Unlock()
		if same {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// act begins the faults when all devices are there.
func (w *show) act(now time.Time, s status) error {
	w.mu.Lock()
	w.result.made = s.Made
	if s.Ready && w.whole.IsZero() {
		w.whole = now
		w.director.begin(now)
		w.reported.reports, w.reported.bytes, w.reported.beats = w.center.traffic()
	}
	orders := w.director.due(now)
	w.mu.Unlock()
	if s.Ready && s.Failed > 0 && !w.warned {
		w.warned = true
		w.screen.say("%d of %d devices: the first that could not connect says: %s", s.Made, w.devices, s.Why)
	}
	for _, o := range orders {
		if err := w.process.do(o); err != nil {
			return fmt.Errorf("the devices take no order: %w", err)
		}
	}
	return nil
}

// inherit takes a will that is delivered.
func (w *show) inherit(last will) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.result.delivered++
	if w.deaths[last.Session].Equal(last.At) {
		w.result.doubles++
	}
	w.deaths[last.Session] = last.At
	w.wills = append(w.wills, last)
	if len(w.wills) > 4 {
		w.wills = slices.Delete(w.wills, 0, 1)
	}
}

func (w *show) picture(now time.Time, sessions []link.Session, status status) picture {
	p := picture{at: now.Sub(w.begun), here: map[string]int{}, center: w.center.count()}
	if !status.Ready {
		p.starting = fmt.Sprintf("%d of %d devices are there", status.Made, w.devices)
	}
	rows := make([]row, 0, len(sessions))
	for _, s := range sessions {
		p.here[s.State.String()]++
		there, _ := w.center.judge.Status(s.ID)
		rows = append(rows, row{
			name: s.ID, state: s.State, cause: s.Cause, since: now.Sub(s.Since), phi: s.Phi,
			there: there.Phi, every: s.Every, carried: s.State64,
		})
	}
	p.rows = worst(rows)
	for i := range p.rows {
		p.rows[i].center, p.rows[i].there = w.center.verdict(p.rows[i].name)
	}
	p.traffic = w.traffic(now)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, last := range w.wills {
		p.wills = append(p.wills, fmt.Sprintf("  %s after %s (%s): %s",
			plain(last.Session), clock(last.At.Sub(w.begun)), last.Cause, plain(string(last.Message))))
	}
	p.score = fmt.Sprintf("%d wills delivered, %d kept; %d faults, %d unfounded suspicions",
		w.result.delivered, w.gateway.wills.kept(), w.director.score.Faults, w.director.score.Unfounded)
	return p
}

const (
	// perPacket is what a packet costs beside what it carries: Ethernet 14 bytes, IPv4 20, TCP 20
	// and its time stamps 12 (RFC 894, 791, 9293, 7323). Acknowledgements are not counted.
	perPacket = 14 + 20 + 20 + 12
	// perSegment is how much of a message is in one packet of 1,500 bytes.
	perSegment = 1500 - 20 - 20 - 12
	// perMessage is what a message costs on the connection: a frame's header, and a number.
	perMessage = 6 + 3
)

// onTheWire is how many bytes so many messages with so many bytes are, in packets.
func onTheWire(messages, bytes int) int {
	bytes += messages * perMessage
	return bytes + perPacket*(messages+bytes/perSegment)
}

// alone is how many bytes one beat is in a report of its own, which is all that its packet carries.
func alone() int {
	one := []detector.Beat[string]{{ID: nameOf(0), Age: time.Second / 2}}
	b, err := report{Sent: time.Hour, Beats: one}.encode()
	if err != nil {
		panic(err) // it is within all limits
	}
	return onTheWire(1, len(b))
}

// traffic tells what reports cost, since all devices are there.
func (w *show) traffic(now time.Time) string {
	reports, bytes, beats := w.center.traffic()
	reports, bytes, beats = reports-w.reported.reports, bytes-w.reported.bytes, beats-w.reported.beats
	if w.whole.IsZero() || beats == 0 {
		return "no beats are reported yet"
	}
	each := float64(w.result.made) * max(w.report, now.Sub(w.whole)).Seconds()
	return fmt.Sprintf("%.0f beats a report, %.1f bytes a device and second; a packet for each beat: %.1f",
		float64(beats)/float64(reports), float64(onTheWire(reports, bytes))/each, float64(beats*alone())/each)
}

// summary says what it has come to.
func (w *show) summary() {
	now := time.Now()
	status, _ := w.process.now()
	own, wall, say := memory(), now.Sub(w.begun), w.screen.say
	reached := "not all came"
	if !w.whole.IsZero() {
		reached = "all there for " + clock(now.Sub(w.whole))
	}
	say("%d devices, %s: %s", w.result.made, reached, w.traffic(now))
	w.mu.Lock()
	s, delivered := w.director.score, w.result.delivered
	w.mu.Unlock()
	if len(s.Found) > 0 {
		slices.Sort(s.Found)
		slices.Sort(s.Promises)
		n := len(s.Found)
		say("%d of them fell silent and were found after %s in the middle, %s at most "+
			"(%.1f and %.1f of the intervals that they promised): %v",
			n, clock(s.Found[n/2]), clock(s.Found[n-1]), s.Promises[n/2], s.Promises[n-1], s.ByCause)
	}
	say("%d faults: %d were back within the grace, %d were too late for it; "+
		"%d gone without a goodbye, %d wills delivered",
		s.Faults, s.Back, s.TooLate, s.Gone, delivered)
	say("%d unfounded suspicions %v, %d gone with nothing wrong", s.Unfounded, s.Mistakenly, s.WrongGone)
	say("gateway and center: %.0f %% of a core, %d MB; devices: %.0f %%, %d MB",
		100*processorTime().Seconds()/wall.Seconds(), own>>20, 100*status.CPU.Seconds()/wall.Seconds(), status.Memory>>20)
}
