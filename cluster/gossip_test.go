package cluster

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// Half of a network learnt of y from claims alone, down, and the news that it is back overtakes what memberlist brings: the tags are news.
func TestTagsOfMemberKnownFromClaims(t *testing.T) {
	now := time.Now()
	tags := map[string]string{"zone": "b"}
	for name, story := range map[string]struct {
		back bool
		want []string
	}{
		"up before its tags came": {true, []string{"down/verdict", "up/heard", "updated/tags"}},
		"down all the while":      {false, []string{"down/verdict"}},
	} {
		c, _ := listener(t, now)
		var told []string
		var last Event
		c.publish = func(_ string, e Event) { told, last = append(told, e.Kind.String()+"/"+e.Reason), e }
		buf := encoded(t, &wire.Packet{From: "b", Boot: 1, Claims: []claim.Claim{{Name: "y", Boot: 1, Seq: 3000, State: claim.Down, Addr: "10.0.0.2:7946"}}})
		c.receivedState(now, buf)
		if story.back {
			c.merge(now, nil, claim.Claim{Name: "y", Boot: 1, Seq: 3010, State: claim.Up})
		}
		meet(t, c, now, "y", "10.0.0.2:7946", tags)
		if !slices.Equal(told, story.want) || story.back && !maps.Equal(last.Member.Tags, tags) {
			t.Errorf("%s: told %v, at last with tags %v; want %v", name, told, last.Member.Tags, story.want)
		}
	}
}

// A process that runs memberlist alone and one of the ring that takes its name are two boots: the first one ends.
func TestPlainMemberIsReplaced(t *testing.T) {
	now := time.Now()
	m, err := encodeMeta(meta{Boot: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, story := range map[string]struct {
		dead bool // before
		want []string
	}{
		"while it was up":  {false, []string{"0 up/joined", "0 down/restarted", "1 up/restarted"}},
		"when it was down": {true, []string{"0 up/joined", "0 down/memberlist", "1 up/restarted"}},
	} {
		c, _ := listener(t, now)
		var told []string
		c.publish = func(_ string, e Event) { told = append(told, fmt.Sprintf("%d %v/%s", e.Member.Boot, e.Kind, e.Reason)) }
		c.gossipAlive(now, gossipMember{"y", "10.0.0.2:7946", nil})
		if story.dead {
			c.gossipDead(now, "y")
		}
		c.gossipAlive(now, gossipMember{"y#1", "10.0.0.2:7946", m})
		c.gossipDead(now, "y")
		c.regraph(now)
		if r := c.members["y"]; !slices.Equal(told, story.want) || r.plain || !c.rings.Seated("y") || r.Addr != "10.0.0.2:7946" {
			t.Errorf("%s: told %v of it, want %v; known as %+v", name, told, story.want, r.Claim)
		}
	}
}

// What memberlist could not send any more when the node had closed its sockets is nobody's trouble;
// what else fails is.
func TestLogOfTheOwnEnd(t *testing.T) {
	for line, want := range map[string]string{
		"[ERR] memberlist: Failed to send UDP ping: write udp 127.0.0.1:7946->127.0.0.1:7947: use of closed network connection": "[DEBUG]",
		"[ERR] memberlist: Failed to send UDP ping: write udp 127.0.0.1:7946->127.0.0.1:7947: operation not permitted":          "[WARN]",
	} {
		var out bytes.Buffer
		log := newLogger(hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: &out}))
		if _, err := (gossipLog{log, newCounters()}).Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		log.flush()
		if !strings.Contains(out.String(), want) || !strings.Contains(out.String(), "Failed to send UDP ping") {
			t.Errorf("%s: %q", want, &out)
		}
	}
}
