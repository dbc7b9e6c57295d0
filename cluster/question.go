package cluster

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/quorum"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// What is asked about a silent member, whom, and how often. Each question goes to the member itself; once the inquiry is
// urgent, a word goes with it to the others who look into the same silence. Two bounds hold whatever the answers are: one
// on the questions about one member, one on the packets of all inquiries of this node (throttle.go).

const (
	// quickQuestions are asked first, quickEvery apart: where packets are lost, most silences end with the answer to one of
	// these, before a stall that begins meanwhile could hide it.
	quickQuestions = 4
	// askDecay is how soon the questions about one member are forgotten, by half. Their number slows the next ones down.
	askDecay = 10 * time.Second
	// fewInquiries is up to how many at a time quick questions are asked: beyond that it is not one packet that was lost.
	fewInquiries = 8
)

// askEvery is the time between two questions: four in the time that a member may stall.
func (c *core) askEvery() time.Duration {
	return min(max(c.cfg.StallAllowance/4, 10*time.Millisecond), 100*time.Millisecond)
}

// quickEvery is the time between two of the first questions.
func (c *core) quickEvery() time.Duration { return c.askEvery() / 40 }

// wordEvery is the time between two words about one member at least, as the case against it becomes stronger.
func (c *core) wordEvery() time.Duration { return c.askEvery() / 10 }

// pace is the time to the next question about r: longer and longer while inquiries about r lead nowhere, or one follows the
// other, as on a path that is too slow or for a node that is cut off. No answer resets it; it forgets by askDecay.
func (c *core) pace(now time.Time, r *record) time.Duration {
	level := r.questions.level(now)
	if in := r.inquiry; in.asked < quickQuestions && in.alleged == nil && level < 2*quickQuestions && len(c.inquiries) <= fewInquiries {
		return c.quickEvery()
	}
	return c.slowPace(level)
}

func (c *core) slowPace(level float64) time.Duration { return c.askEvery() << min(int(level/8), 4) }

// replyTime is how long an answer of r may take: the scheduling of a loaded machine, or the network's two ways with some to
// spare.
func (c *core) replyTime(r *record) time.Duration {
	return max(c.askEvery(), 2*r.edge.rtt+minStdDev)
}

// fading is a count of which half is forgotten after askDecay.
type fading struct {
	n  float64
	at time.Time
}

func (f *fading) level(now time.Time) float64 {
	return f.n * math.Exp2(-float64(max(0, now.Sub(f.at)))/float64(askDecay))
}

func (f *fading) add(now time.Time) { f.n, f.at = f.level(now)+1, now }

// ask asks r itself whether it is there, and when it is urgent everybody else who looks into it what they know. There has to be
// room for both: questions without words would let each become certain for itself.
func (c *core) ask(now time.Time, r *record) {
	in := r.inquiry
	var partners []*record
	if in.urgent && !c.isolated { // an isolated node has no doubt to tell
		partners = c.partners(now, r)
	}
	if wait := c.room.Wait(now, 1+len(partners)); wait > 0 {
		in.askAt = now.Add(max(c.askEvery(), wait))
		return
	}
	c.room.Take(now)
	if in.asked == 0 {
		in.firstAsk = now
	}
	in.asked++
	if len(in.times) < mostTimes {
		in.times = append(in.times, now)
	}
	r.touch().questions.add(now)
	in.askAt = now.Add(c.pace(now, r))
	question := c.question(now, r)
	question.Doubt = hundredths(c.doubt(now, r))
	question.Before = hundredths(c.unexplained(now, r))
	for _, o := range partners {
		if c.words[o.Name]%wire.MaxParts == 0 { // those of a turn share packets
			c.room.Take(now)
		}
		c.words[o.Name]++
		c.send(o, &wire.Packet{Asks: []wire.Ask{question}})
		c.count.send("ask")
		if c.vainSince.IsZero() {
			c.vainSince = now
		}
	}
}

// bySilence yields the inquiries, and where there is hardly room for questions those about the longest silence first: they
// are about the dead, and those who are merely late answer by themselves.
func (c *core) bySilence(now time.Time) iter.Seq[*record] {
	if !c.room.Scarce(now) {
		return slices.Values(byName(slices.Collect(maps.Values(c.inquiries))))
	}
	return slices.Values(slices.SortedFunc(maps.Values(c.inquiries), func(a, b *record) int {
		return cmp.Or(a.seen.Compare(b.seen), strings.Compare(a.Name, b.Name))
	}))
}

// question asks r itself whether it is there, and returns what it said.
func (c *core) question(now time.Time, r *record) wire.Ask {
	r.touch().askedAt = now
	q := wire.Ask{Name: r.Name, Boot: r.Boot, Epoch: r.Epoch, Seq: r.Seq, Age: micros(now.Sub(r.seen)), Awaits: c.awaits(r)}
	c.send(r, &wire.Packet{Asks: []wire.Ask{q}})
	c.count.send("ask")
	return q
}

// partners are the others to whom this node tells its doubt about r: those who listen to r, those who told theirs, and
// witnesses where too few of these say anything. Who is silent itself is not told.
func (c *core) partners(now time.Time, r *record) []*record {
	others := slices.DeleteFunc(c.coObservers(r), func(o *record) bool { return c.hopeless(now, o) })
	for name := range inOrder(r.inquiry.opinions) {
		if o := c.members[name]; o != nil && o.State == claim.Up && !slices.Contains(others, o) {
			others = append(others, o)
		}
	}
	if len(quorum.Heard(c.testimonies(now, r, time.Time{}))) < 2 && c.unanswered(now, r) >= 2 { // an unsteady doubter looks into it already
		others = append(others, c.witnesses(now, r, others)...)
	}
	return others
}

// hopeless tells whether o left questions unanswered itself.
func (c *core) hopeless(now time.Time, o *record) bool {
	return o.called >= 2 || o.inquiry != nil && c.unanswered(now, o) >= 2
}

// coObservers are the others who listen to r, by this node's reckoning: those who did before anybody fell silent, and those who
// take the place of the ones that are down.
func (c *core) coObservers(r *record) []*record {
	listeners := c.rings.Observers(r.Name)
	up := c.othersUp(listeners)
	if len(up) < len(listeners)-1 || len(up) == 0 {
		up = c.othersUp(c.rings.Successors(r.Name))
	}
	return up
}

// othersUp are those of them that are up, this node aside.
func (c *core) othersUp(names []string) (up []*record) {
	for _, name := range names {
		if o := c.members[name]; o != nil && o.State == claim.Up {
			up = append(up, o)
		}
	}
	return up
}

// witnesses are others to ask about r where its observers say nothing, perhaps because they died with it: members that this
// node hears itself, those it listens to before all others. They look into it on their own paths, without an earlier
// heartbeat.
func (c *core) witnesses(now time.Time, r *record, asked []*record) []*record {
	var found []*record
	fits := func(o *record) bool {
		return o != r && o.State == claim.Up && !o.plain && o.inquiry == nil && !slices.Contains(asked, o) && !slices.Contains(found, o)
	}
	for _, o := range c.duty {
		if fits(o) && o.path.Watched() {
			if found = append(found, o); len(found) == fewestPaths {
				return found
			}
		}
	}
	for _, o := range c.present(now) {
		if fits(o) {
			if found = append(found, o); len(found) == fewestPaths {
				return found
			}
		}
	}
	return found
}

// asked acts on a question of another member about a third one.
func (c *core) asked(now time.Time, from *record, a wire.Ask) (answer claim.Claim, ok bool) {
	later, ok := c.merge(now, from, a.Claim())
	r := c.members[a.Name]
	if ok || r == nil || r.plain || r.State != claim.Up || r.Boot != a.Boot || a.Doubt == 0 {
		return later, ok
	}
	if r.inquiry == nil {
		c.inquire(now, r, true)
	}
	if r.inquiry != nil {
		o := &opinion{
			seq: a.Seq, epoch: a.Epoch, at: now, awaits: a.Awaits,
			phi: float64(min(a.Doubt, 10_000)) / 100, before: float64(min(a.Before, 10_000)) / 100,
		}
		if last := r.inquiry.opinions[from.Name]; last != nil && last.seq == o.seq && last.epoch == o.epoch {
			o.follows(last, c.askEvery(), c.slowPace(r.questions.level(now)))
		} else {
			o.words, o.wordAt = 1, now
		}
		r.inquiry.opinions[from.Name] = o
		r.inquiry.urgent = true
		c.pursue(now, r)
	}
	return claim.Claim{}, false
}
