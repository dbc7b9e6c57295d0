//go:build e2e && linux

package deploy

import (
	"flag"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	runs  = flag.Int("runs", 1, "how often each fault is tried, each time in a ring of its own")
	quiet = flag.Duration("quiet", 15*time.Second, "how long the ring with a tenth of a processor is watched before a node is killed")
)

const (
	absence = 5 * time.Second // how long a node is paused or unplugged
	settled = 3 * time.Second // after a fault: what would still be said about it has been said then
)

// outcome is what one fault did to one ring. Times are from the start of the command: those that the engine tells may be late.
type outcome struct {
	began time.Time       // when what is counted began
	ill   []string        // who may be called down
	told  []time.Duration // until a node was told of the fault, one for each
	back  []time.Duration // until a node was told that it is over, one for each
}

// faults are what happens to containers. The victim is the third, and the others watch.
var faults = []struct {
	name  string
	flags []string
	try   func(*ring) outcome
}{
	{"docker kill", nil, kill},
	{"docker pause, 5 s", nil, pause},
	{"docker pause and unpause at once", nil, blink},
	{"docker network disconnect, 5 s", nil, disconnect},
	{"rolling restart of all five", nil, roll},
	{"docker kill, back at another address", nil, move},
	{"docker network disconnect, 5 s, then another address", []string{"--restart", "on-failure"}, rehome},
	{"--cpus 0.1 for all, quiet, then docker kill", []string{"--cpus", "0.1"}, starve},
}

// The image is small, and its node finds the others, is healthy, and is not root. Each fault does what it has to: those who watch are told, and
// nobody else is called down.
func TestContainers(t *testing.T) {
	e := newEngine(t)
	size, err := strconv.Atoi(e.docker("image", "inspect", "--format", "{{.Size}}", e.name))
	must(t, err)
	t.Logf("the image has %.1f MB", float64(size)/1e6)
	if size >= 20e6 {
		t.Errorf("the image has %d bytes: want less than 20 MB", size)
	}
	var table []string
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			var told, back []time.Duration
			falseDowns := 0
			for range *runs {
				t.Run("", func(t *testing.T) {
					r := e.newRing(t, f.flags...)
					got := f.try(r)
					time.Sleep(settled)
					falseDowns += r.falseDowns(got)
					told, back = append(told, got.told...), append(back, got.back...)
				})
			}
			table = append(table, row(f.name, told, back, falseDowns))
		})
	}
	t.Logf("%d runs of each, seconds\n%s\n%s", *runs, "| fault | told after: median, worst | back after: median, worst | called down wrongly |\n|---|---|---|---|",
		strings.Join(table, "\n"))
}

// A container is healthy once it has joined, answers commands that are run in it, and says goodbye when the engine stops it or when it is
// told to leave, as Kubernetes does before it stops a pod.
func TestHealthAndGoodbye(t *testing.T) {
	r := newEngine(t).newRing(t, "--health-interval=1s")
	for _, c := range r.all {
		c.healthy()
	}
	ant, dog, elk := r.all[0], r.all[3], r.all[4]
	if table := r.docker("exec", ant.id, "/pulsering", "members"); strings.Count(table, " up ") != 5 {
		t.Errorf("pulsering members in a container:\n%s", table)
	}
	began := time.Now()
	r.docker("stop", elk.id)
	t.Logf("docker stop took %.1f s", time.Since(began).Seconds())
	docker("exec", dog.id, "/pulsering", "leave") // whether it lives to see the answer is up to the engine
	for _, gone := range []*container{dog, elk} {
		ant.expect(began, "left", gone.name)
		if code := r.docker("wait", gone.id); code != "0" {
			t.Errorf("%s ended with exit code %s", gone.name, code)
		}
	}
	if n := r.falseDowns(outcome{began: began}); n > 0 {
		t.Errorf("%d called down", n)
	}
}

// falseDowns counts what was said wrongly: a node that was well was called down, or one was told that others did so.
func (r *ring) falseDowns(o outcome) (n int) {
	r.t.Helper()
	for _, c := range r.all {
		for _, e := range c.events(o.began) {
			wrong := e.Kind == "down" || e.Kind == "accused"
			if wrong && !slices.Contains(o.ill, e.Member) {
				r.t.Errorf("%s at %v: %s about %s (%s by %v), which was well", c.name, e.Time, e.Kind, e.Member, e.Reason, e.By)
				n++
			}
		}
	}
	return n
}

// watch notes when each of the watchers was told something about the victim, since a moment.
func (o *outcome) watch(to *[]time.Duration, since time.Time, watchers []*container, kind, member string, conditions ...func(event) bool) {
	for _, c := range watchers {
		*to = append(*to, c.expect(since, kind, member, conditions...).Time.Sub(since))
	}
}

func kill(r *ring) outcome {
	cat := r.all[2]
	o := outcome{began: time.Now(), ill: []string{cat.name}}
	r.docker("kill", cat.id)
	o.watch(&o.told, o.began, r.others(cat), "down", cat.name)
	return o
}

func pause(r *ring) outcome {
	cat := r.all[2]
	o := outcome{began: time.Now(), ill: []string{cat.name}}
	r.docker("pause", cat.id)
	o.watch(&o.told, o.began, r.others(cat), "down", cat.name)
	time.Sleep(time.Until(o.began.Add(absence)))
	over := time.Now()
	r.docker("unpause", cat.id)
	o.watch(&o.back, over, r.others(cat), "up", cat.name)
	return o
}

// blink pauses a node for less than its stall allowance, 400 ms, unless the machine is busy: then it may be called down.
func blink(r *ring) outcome {
	cat := r.all[2]
	o := outcome{began: time.Now()}
	r.docker("pause", cat.id)
	r.docker("unpause", cat.id)
	if took := time.Since(o.began); took > 350*time.Millisecond {
		r.t.Logf("the pause took up to %v", took)
		o.ill = []string{cat.name}
	}
	return o
}

// disconnect pulls a node's cable. The node hears nobody, says so to its own reader, and calls nobody down in so short a time.
func disconnect(r *ring) outcome {
	cat := r.all[2]
	o := outcome{began: time.Now(), ill: []string{cat.name}}
	r.docker("network", "disconnect", r.network, cat.id)
	o.watch(&o.told, o.began, r.others(cat), "down", cat.name)
	cat.expect(o.began, "isolated", cat.name)
	time.Sleep(time.Until(o.began.Add(absence)))
	over := time.Now()
	r.docker("network", "connect", "--ip", cat.addr, "--alias", "node", r.network, cat.id)
	o.watch(&o.back, over, r.others(cat), "up", cat.name)
	cat.expect(over, "connected", cat.name)
	return o
}

// roll restarts one node after the other, each once the one before is back.
func roll(r *ring) outcome {
	o := outcome{began: time.Now()}
	for _, c := range r.all {
		began := time.Now()
		r.docker("restart", c.id)
		o.watch(&o.told, began, r.others(c), "left", c.name)
		o.watch(&o.back, began, r.others(c), "up", c.name)
		c.expect(began, "joined", c.name)
		c.seesAllUp(began)
	}
	return o
}

// move has another machine take over a node's name, and at once.
func move(r *ring) outcome {
	cat := r.all[2]
	o := outcome{began: time.Now(), ill: []string{cat.name}}
	r.docker("kill", cat.id)
	r.docker("rm", cat.id)
	cat.addr = r.host(50)
	over := time.Now()
	cat.start()
	o.watch(&o.told, o.began, r.others(cat), "down", cat.name)
	o.watch(&o.back, over, r.others(cat), "up", cat.name, func(e event) bool { return e.Addr == cat.addr+":7946" })
	cat.seesAllUp(over)
	return o
}

// rehome gives a node another address while it runs. It cannot go on at one that the others do not know, and ends; the engine starts it anew.
func rehome(r *ring) outcome {
	cat := r.all[2]
	o := outcome{began: time.Now(), ill: []string{cat.name}}
	r.docker("network", "disconnect", r.network, cat.id)
	o.watch(&o.told, o.began, r.others(cat), "down", cat.name)
	time.Sleep(time.Until(o.began.Add(absence)))
	over := time.Now()
	cat.addr = r.host(50)
	r.docker("network", "connect", "--ip", cat.addr, "--alias", "node", r.network, cat.id)
	o.watch(&o.back, over, r.others(cat), "up", cat.name, func(e event) bool { return e.Addr == cat.addr+":7946" })
	cat.expect(over, "joined", cat.name)
	cat.seesAllUp(over)
	return o
}

// starve leaves a ring with little to run on alone, and then kills a node.
func starve(r *ring) outcome {
	began := time.Now()
	time.Sleep(*quiet)
	o := kill(r)
	o.began = began
	for _, c := range r.all {
		r.t.Logf("%s: %s", c.name, c.throttled())
	}
	return o
}

// throttled is what the kernel says of a container's share of the processor, where it is found: so many periods of 100 ms, so many of
// them with the share used up.
func (c *container) throttled() string {
	for _, dir := range []string{"/sys/fs/cgroup/cpu/docker/" + c.id, "/sys/fs/cgroup/system.slice/docker-" + c.id + ".scope"} {
		if stat, err := os.ReadFile(dir + "/cpu.stat"); err == nil {
			return strings.Join(strings.Fields(string(stat)), " ")
		}
	}
	return "the engine keeps its control groups elsewhere, or it has ended"
}

// row is a line of the table.
func row(name string, told, back []time.Duration, falseDowns int) string {
	return "| " + name + " | " + spread(told) + " | " + spread(back) + " | " + strconv.Itoa(falseDowns) + " |"
}

// spread is the median and the worst.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "–"
	}
	slices.Sort(d)
	seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) }
	return seconds(d[len(d)/2]) + ", " + seconds(d[len(d)-1])
}
