package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/pulsering/pulsering/detector/link/tcp"
)

type keepaliveCmd struct {
	Address  address   `arg:"" name:"HOST:PORT" help:"Where to connect to."`
	Idle     wholeSpan `default:"15s" min:"1s" max:"9h6m7s" help:"How long nothing has to come before the first probe."`
	Interval wholeSpan `default:"5s" min:"1s" max:"9h6m7s" help:"Time between two probes."`
	Probes   count     `default:"3" min:"1" max:"127" help:"How many unanswered probes end the connection."`
	For      span      `placeholder:"DURATION" min:"1s" max:"8760h" help:"End by itself after this time. Default: at Ctrl-C."`
	JSON     bool      `name:"json" help:"Print JSON, one object a line, each second."`
}

func (keepaliveCmd) Help() string {
	return `Connects, sets TCP keep-alive, says what the socket has of it and when a dead path would be found, then shows what the kernel knows of the connection (TCP_INFO, on Linux) until you stop it (Ctrl-C). It sends nothing itself, and drops what comes. Keep-alive asks the other machine's kernel, not its process; behind a proxy or load balancer it asks that one. It ends with 1 when the connection does.

    pulsering keepalive example.com:443
    pulsering keepalive 127.0.0.1:22 --idle 5s --interval 1s --probes 3 --for 30s --json
`
}

// How the command dials, and looks.
const (
	dialLimit = 10 * time.Second
	lookEvery = time.Second
)

func (c *keepaliveCmd) settings() tcp.KeepAlive {
	return tcp.KeepAlive{Idle: time.Duration(c.Idle), Interval: time.Duration(c.Interval), Probes: int(c.Probes)}
}

// Run watches the connection until it ends, which is an error, or ctx or the time of --for does.
func (c *keepaliveCmd) Run(ctx context.Context, con console) (err error) {
	// The dialer leaves keep-alive off, so that what the system would do by itself can be read.
	dialer := net.Dialer{Timeout: dialLimit, KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", string(c.Address))
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens on %s: %w", c.Address, err)
	case err != nil:
		return fmt.Errorf("cannot connect to %s: %w", c.Address, err)
	}
	view := newKeepaliveView(con, c.JSON, conn)
	if err := view.opened(c.settings()); err != nil {
		conn.Close()
		return err
	}

	// What comes is read for the sake of the error at its end. The reader ends with the connection.
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, conn)
		if err == nil {
			err = io.EOF
		}
		ended <- err
	}()
	reading := true
	defer func() {
		conn.Close()
		if reading {
			<-ended
		}
	}()

	var enough <-chan time.Time
	if c.For > 0 {
		timer := time.NewTimer(time.Duration(c.For))
		defer timer.Stop()
		enough = timer.C
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		if err := view.look(); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-enough:
			return view.stopped("the time of --for is over")
		case <-ctx.Done(): // stopped on purpose: all went well
			return view.stopped(context.Cause(ctx).Error())
		case err := <-ended:
			reading = false
			return view.ended(err)
		}
	}
}

// keepaliveView writes what becomes of a connection: a picture that is redrawn, a line a change, or
// JSON.
type keepaliveView struct {
	conn   net.Conn
	screen *screen
	json   bool
	began  time.Time
	blind  bool // there is no TCP_INFO, which was said

	last     tcp.Info
	lastLook time.Time
}

func newKeepaliveView(con console, asJSON bool, conn net.Conn) *keepaliveView {
	now := time.Now()
	return &keepaliveView{
		conn:   conn,
		json:   asJSON,
		began:  now,
		screen: &screen{w: con.out, live: con.outTTY && !asJSON && runtime.GOOS != "windows", color: con.outColor && !asJSON, began: now},
	}
}

// keepaliveLine is a line of --json.
type keepaliveLine struct {
	Time   time.Time `json:"time"`
	Kind   string    `json:"kind"` // connected, info, no-info, stopped or ended
	Remote string    `json:"remote"`

	*keepaliveSettings
	*keepaliveInfo
	Reason string `json:"reason,omitempty"` // of stopped, ended and no-info
	End    string `json:"end,omitempty"`    // clean, path, reset or other
}

// keepaliveSettings are of kind connected.
type keepaliveSettings struct {
	Local            string   `json:"local"`
	Idle             float64  `json:"idle_s"`
	Interval         float64  `json:"interval_s"`
	Probes           int      `json:"probes"`
	FoundAfter       float64  `json:"found_after_s"`
	SystemFoundAfter *float64 `json:"system_found_after_s,omitempty"` // absent where it is not known
	ReadBack         bool     `json:"read_back"`                      // from the socket
}

// keepaliveInfo is of kind info.
type keepaliveInfo struct {
	State            string  `json:"state"`
	RTT              float64 `json:"rtt_ms"`
	RTTVar           float64 `json:"rtt_var_ms"`
	LastAck          int64   `json:"last_ack_ms"`
	LastData         int64   `json:"last_data_ms"`
	Unacked          int     `json:"unacked"`
	Retransmits      int     `json:"retransmits"`
	TotalRetransmits int     `json:"total_retransmits"`
	Unanswered       int     `json:"unanswered_probes"`
	NotSent          int     `json:"not_sent"`
	Window           int     `json:"window"`
}

// opened sets keep-alive, and says what came of it.
func (v *keepaliveView) opened(asked tcp.KeepAlive) error {
	system, systemErr := tcp.ReadKeepAlive(v.conn)
	system.Off = false // the dialer turned it off: what if it had not
	if err := asked.Set(v.conn); err != nil {
		return err
	}
	has, err := tcp.ReadKeepAlive(v.conn)
	if err != nil && !errors.Is(err, tcp.ErrNoInfo) {
		return err
	}
	readBack := err == nil
	if !readBack {
		has = asked
	}
	if v.json {
		s := &keepaliveSettings{Local: v.conn.LocalAddr().String(), Idle: has.Idle.Seconds(), Interval: has.Interval.Seconds(),
			Probes: has.Probes, FoundAfter: has.FoundAfter().Seconds(), ReadBack: readBack}
		if systemErr == nil {
			found := system.FoundAfter().Seconds()
			s.SystemFoundAfter = &found
		}
		return v.print(keepaliveLine{Kind: "connected", keepaliveSettings: s})
	}
	source := "as read back from the socket"
	if !readBack {
		source = "as asked for: this system does not let them be read back"
	}
	lines := []string{
		v.screen.paint(bold, fmt.Sprintf("Connected to %v from %v.", v.conn.RemoteAddr(), v.conn.LocalAddr())),
		fmt.Sprintf("keep-alive  first probe after %v, then each %v, ended by %d unanswered (%s)", has.Idle, has.Interval, has.Probes, source),
		fmt.Sprintf("dead path   found %v after the last sign of life, if nothing is being sent", has.FoundAfter()),
	}
	if systemErr == nil {
		lines = append(lines, fmt.Sprintf("otherwise   this system would find it after %v if a program only turned keep-alive on, and never without",
			system.FoundAfter()))
	}
	v.screen.text(append(lines, "")...)
	return v.screen.err
}

// look asks the kernel and shows the answer; without a terminal, only what is new.
func (v *keepaliveView) look() error {
	if v.blind {
		return nil
	}
	info, err := tcp.ReadInfo(v.conn)
	if err != nil {
		v.blind = true
		why := err.Error()
		if errors.Is(err, tcp.ErrNoInfo) {
			why = "this system does not tell what TCP knows (no TCP_INFO): waiting for the end of the connection"
		}
		if v.json {
			return v.print(keepaliveLine{Kind: "no-info", Reason: why})
		}
		v.screen.text(why)
		return v.screen.err
	}
	now := time.Now()
	isNew := v.isNew(info, now)
	v.last, v.lastLook = info, now
	switch {
	case v.json:
		return v.print(keepaliveLine{Kind: "info", keepaliveInfo: newKeepaliveInfo(info)})
	case v.screen.live:
		v.screen.draw(keepaliveTable(info, v.screen.color))
	case isNew:
		v.screen.say("·", grey, "%s", keepaliveText(info))
	}
	return v.screen.err
}

// isNew tells whether more than ages and round-trip times has changed.
func (v *keepaliveView) isNew(now tcp.Info, at time.Time) bool {
	const grain = 50 * time.Millisecond // of the kernel's times, and of a late look
	acked := now.LastAckReceived+grain < v.last.LastAckReceived+at.Sub(v.lastLook)
	was := v.last
	return v.lastLook.IsZero() || acked || now.State != was.State || now.Unacked != was.Unacked || now.Retransmits != was.Retransmits ||
		now.TotalRetransmits != was.TotalRetransmits || now.Probes != was.Probes || now.NotSent != was.NotSent
}

// stopped says that the watching has ended, and not the connection.
func (v *keepaliveView) stopped(why string) error {
	if v.json {
		return v.print(keepaliveLine{Kind: "stopped", Reason: why})
	}
	v.screen.text(fmt.Sprintf("Stopped after %s (%s): the connection had not ended.", seconds(time.Since(v.began)), why))
	return v.screen.err
}

// ended returns how the connection ended, as an error.
func (v *keepaliveView) ended(cause error) error {
	end := tcp.HowEnded(cause, nil)
	why := map[tcp.End]string{
		tcp.EndClean: "closed by the other side",
		tcp.EndReset: "reset: the other side's process is gone, or does not want what came",
		tcp.EndPath:  "timed out: nothing came back from there",
	}[end]
	if why == "" {
		why = cause.Error()
	} else if end != tcp.EndClean {
		why += fmt.Sprintf(" (%v)", cause)
	}
	if v.json {
		if err := v.print(keepaliveLine{Kind: "ended", End: end.String(), Reason: why}); err != nil {
			return err
		}
	}
	return fmt.Errorf("the connection to %v ended after %s: %s", v.conn.RemoteAddr(), seconds(time.Since(v.began)), why)
}

// print writes a line of JSON at once.
func (v *keepaliveView) print(line keepaliveLine) error {
	line.Time, line.Remote = time.Now(), v.conn.RemoteAddr().String()
	text, err := marshal(line)
	if err != nil {
		return err
	}
	_, err = v.screen.w.Write(append(text, '\n'))
	return err
}

func newKeepaliveInfo(i tcp.Info) *keepaliveInfo {
	return &keepaliveInfo{
		State:            i.State,
		RTT:              i.RTT.Seconds() * 1000,
		RTTVar:           i.RTTVar.Seconds() * 1000,
		LastAck:          i.LastAckReceived.Milliseconds(),
		LastData:         i.LastDataReceived.Milliseconds(),
		Unacked:          i.Unacked,
		Retransmits:      i.Retransmits,
		TotalRetransmits: i.TotalRetransmits,
		Unanswered:       i.Probes,
		NotSent:          i.NotSent,
		Window:           i.Window,
	}
}

// keepaliveRows are the names and values of what people read.
func keepaliveRows(i tcp.Info) [][]cell {
	warn := func(n int, total string) cell {
		if n > 0 {
			return cell{fmt.Sprint(n) + total, yellow}
		}
		return cell{fmt.Sprint(n) + total, plain}
	}
	state := cell{i.State, yellow}
	if i.State == "established" {
		state.paint = green
	}
	return [][]cell{
		{{"state", grey}, state},
		{{"rtt", grey}, {fmt.Sprintf("%s ± %s", rtt(i.RTT), rtt(i.RTTVar)), plain}},
		{{"last ack", grey}, {seconds(i.LastAckReceived) + " ago", plain}},
		{{"last data", grey}, {seconds(i.LastDataReceived) + " ago", plain}},
		{{"unanswered probes", grey}, warn(i.Probes, "")},
		{{"unacked", grey}, {fmt.Sprint(i.Unacked), plain}},
		{{"retransmits", grey}, warn(i.Retransmits, fmt.Sprintf(" (%d in all)", i.TotalRetransmits))},
	}
}

// keepaliveTable is the picture.
func keepaliveTable(i tcp.Info, color bool) []string { return table(keepaliveRows(i), color) }

// keepaliveText is the same on one line.
func keepaliveText(i tcp.Info) string {
	var parts []string
	for n, row := range keepaliveRows(i) {
		if n == 0 {
			parts = append(parts, row[1].text)
		} else {
			parts = append(parts, row[0].text+" "+row[1].text)
		}
	}
	return strings.Join(parts, ", ")
}
