//go:build e2e && linux

package page_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"go.uber.org/goleak"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/web"
)

func TestMain(m *testing.M) {
	// A probe that memberlist has begun waits for its own end after Shutdown.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

// says is whether the visible text of an element holds some words.
func says(selector string, words ...string) string {
	parts := make([]string, len(words))
	for i, w := range words {
		parts[i] = fmt.Sprintf("e.innerText.includes(%q)", w)
	}
	return fmt.Sprintf("(() => { const e = document.querySelector(%q); return Boolean(e) && !e.hidden && %s })()", selector, strings.Join(parts, " && "))
}

func row(name string) string { return fmt.Sprintf(`tr[data-name="%s"]`, name) }

// A member goes down, and the page says so within a second: in its head, its title, the row, the list of what is wrong and the feed.
func TestMemberGoesDown(t *testing.T) {
	node := newFake("a", "b", "c")
	s := newSite(t, node, web.Options{})
	b := launch(t, s.url(), 1280, 800)
	b.until(says("#headline", "All 3 members are up"))
	b.until(says("#link", "Live") + ` && !document.querySelector("#link").innerText.includes("polling")`)

	for try := 1; ; try++ {
		node.tell(cluster.Down, "c", cluster.ReasonSilent)
		took := b.until(says("#headline", "1 down of 3 members"))
		t.Logf("told after %v", took)
		if took < time.Second {
			break
		} else if try == 3 { // a busy machine may be late once
			t.Fatalf("the page tells of the down after %v, want less than a second", took)
		}
		node.tell(cluster.Up, "c", cluster.ReasonHeard)
		b.until(says("#headline", "All 3 members are up"))
	}
	b.until(says(row("c"), "down"))
	b.until(says("#attention-list", "c down", "φ 9.3 of 8.4", "doubted by a and b"))
	b.until(says("#feed", "c down", "silent"))
	b.until(`document.title.startsWith("(1 down) a")`)
	b.until(`document.querySelector("#announcer").textContent.includes("c down.")`)
	b.until(`document.querySelector("#ring .dot.is-down path").getAttribute("d") === document.querySelector("#shape-down path").getAttribute("d")`)

	t.Log("it comes back, another one leaves, and one is forgotten")
	node.tell(cluster.Up, "c", cluster.ReasonHeard)
	b.until(says("#headline", "All 3 members are up"))
	b.until(says("#attention-more", "Nothing."))
	node.tell(cluster.Left, "b", cluster.ReasonLeft)
	b.until(says("#headline", "All 2 members are up, 1 left"))
	node.forget("b")
	b.until(`!document.querySelector('tr[data-name="b"]')`)
	b.until(says("#members-title", "2 members"))
}

// With 500 members of which ten change a second, no task of the page takes 100 ms, also while its reader scrolls and sorts.
func TestManyMembersStaySmooth(t *testing.T) {
	const most = 100 * time.Millisecond
	names := numbered(500)
	node := newFake(names...)
	s := newSite(t, node, web.Options{})
	b := launch(t, s.url(), 1440, 900)
	b.until(says("#headline", "All 500 members are up"))
	if n, _ := strconv.Atoi(b.Eval(`document.querySelectorAll("tbody tr").length`)); n > 100 {
		t.Errorf("%d rows of 500 are in the document, want those in sight", n)
	}
	work := b.record(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for i := range 80 {
			<-tick.C
			kind := []cluster.Kind{cluster.Down, cluster.Suspect, cluster.Up, cluster.Up}[i%4]
			node.tell(kind, names[1+i*7%499], cluster.ReasonSilent)
			switch i {
			case 20:
				b.Eval(`scrollTo(0, 9000)`)
			case 35:
				b.Eval(`document.querySelector("th.c-since button").click()`)
			case 50:
				b.Eval(`scrollTo(0, 300)`)
			case 65:
				b.Eval(`document.querySelector("th.c-state button").click()`)
			}
		}
	})
	var worked, longest time.Duration
	all := tasks(work)
	for _, e := range all {
		d := time.Duration(e.Worked * float64(time.Microsecond))
		worked += d
		longest = max(longest, d)
		if d > most {
			t.Errorf("a task of the page took %v of the processor, want at most %v: %v", d, most, parts(work, e))
		}
	}
	var wall time.Duration // of this machine's clock, and so of whatever else runs here
	for _, e := range all {
		wall = max(wall, time.Duration(e.Took*float64(time.Microsecond)))
	}
	t.Logf("%d tasks, %v of the processor in 8 s, the longest %v; the longest by the clock %v", len(all), worked, longest, wall)
	if len(all) < 100 {
		t.Errorf("%d tasks of the page in 8 s: they were not measured", len(all))
	}
	want := map[cluster.State]int{}
	for _, m := range node.Members() {
		want[m.State]++
	}
	b.until(says("#counts", fmt.Sprintf("%d\nup", want[cluster.StateUp]), fmt.Sprintf("%d\nsuspect", want[cluster.StateSuspect]),
		fmt.Sprintf("%d\ndown", want[cluster.StateDown])))
}

// The node goes away: the page says so, and since when what it shows is old. It comes back, and so does the page.
func TestConnectionBreaks(t *testing.T) {
	node := newFake("a", "b", "c")
	s := newSite(t, node, web.Options{})
	b := launch(t, s.url(), 1280, 800)
	node.tell(cluster.Down, "b", cluster.ReasonSilent)
	b.until(says("#headline", "1 down of 3 members"))
	s.shut()
	took := b.until(says("#banners", "The connection to this node is lost.", "What you see is what it knew at", "it cannot be reached"))
	if took > 3*time.Second {
		t.Errorf("told after %v", took)
	}
	b.until(`document.body.classList.contains("stale") && getComputedStyle(document.querySelector("main")).filter === "grayscale(1)"`)
	b.until(`document.title.startsWith("(not connected)")`)
	b.until(`document.querySelector("#announcer").textContent.includes("connection to this node is lost")`)
	since := b.Eval(`document.querySelector('tr[data-name="b"] .c-since').innerText`)
	time.Sleep(2500 * time.Millisecond)
	if now := b.Eval(`document.querySelector('tr[data-name="b"] .c-since').innerText`); now != since {
		t.Errorf("b is down since %s, and later since %s: ages have to stand still while nothing is known", since, now)
	}
	node.tell(cluster.Up, "b", cluster.ReasonHeard) // which nobody sees
	s.serve()
	b.Eval(`document.querySelector("#banners button")?.click()`) // Try now
	b.until(says("#headline", "All 3 members are up"))
	b.until(`document.querySelector("#banners").children.length === 0 && !document.body.classList.contains("stale")`)
	b.until(says("#link", "Live") + ` && !document.querySelector("#link").innerText.includes("polling")`)
	node.tell(cluster.Down, "c", cluster.ReasonSilent)
	b.until(says("#feed", "c down"))
}

// A file of the page that did not come is asked for again, and so is an answer.
func TestLostAnswers(t *testing.T) {
	node := newFake("a", "b", "c")
	s := newSite(t, node, web.Options{})
	s.lose.Store("/model.js", true)
	b := launch(t, s.url(), 1280, 800)
	b.until(says("#headline", "All 3 members are up"))
	if _, lost := s.lose.Load("/model.js"); lost {
		t.Error("model.js was not asked for")
	}
	b.Eval(`window.states = new Set(), new MutationObserver(() => states.add(document.querySelector("#link").className))
		.observe(document.querySelector("#link"), { attributes: true })`)
	s.lose.Store("/v1/members", true)
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, lost := s.lose.Load("/v1/members"); !lost {
			break
		} else if time.Since(begin) > patience {
			t.Fatal("the members are not asked for")
		}
	}
	time.Sleep(time.Second)
	node.tell(cluster.Down, "c", cluster.ReasonSilent)
	b.until(says("#headline", "1 down of 3 members"))
	if states := b.Eval(`[...states].join()`); strings.Contains(states, "lost") {
		t.Errorf("one answer was lost, and the page calls the connection lost: %s", states)
	}
}

// A node that hears nobody says so, and what it shows of the others is shown as old.
func TestIsolated(t *testing.T) {
	node := newFake("a", "b", "c")
	s := newSite(t, node, web.Options{})
	b := launch(t, s.url(), 1280, 800)
	b.until(says("#headline", "All 3 members are up"))
	node.tell(cluster.Isolated, "a", "")
	b.until(says("#banners", "This node is isolated", "for the last time"))
	b.until(says("#headline", "Cut off from 2 other members"))
	b.until(`document.body.classList.contains("cut-off")`)
	node.tell(cluster.Connected, "a", "")
	b.until(says("#headline", "All 3 members are up"))
	b.until(`document.querySelector("#banners").children.length === 0`)
}

// Where the stream of events is refused, changes come by polling, and the page says so.
func TestPolling(t *testing.T) {
	node := newFake("a", "b", "c")
	s := newSite(t, node, web.Options{Streams: 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", s.url()+"v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b := launch(t, s.url(), 1280, 800)
	b.until(says("#link", "Live, by polling"))
	b.until(says("#banners", "Changes come by polling", "1 clients follow events already"))
	node.tell(cluster.Down, "c", cluster.ReasonSilent)
	b.until(says("#headline", "1 down of 3 members"))
}

// Who comes from elsewhere is asked for the token, told what is wrong with it, and then sees the members.
func TestToken(t *testing.T) {
	const token = "a-token-of-some-length"
	s := newSite(t, newFake("a", "b", "c"), web.Options{Token: func() string { return token }})
	s.open.Store(true)
	b := launch(t, s.url(), 1280, 800)
	b.until(says("#gate", "This node wants its token"))
	b.Do(chromedp.SendKeys("#token", "a-wrong-one-of-some-length"+kb.Enter))
	b.until(says("#gate-why", "the token is wrong"))
	b.Do(chromedp.SendKeys("#token", token+kb.Enter))
	b.until(says("#headline", "All 3 members are up"))
	b.until(says("#link", "Live") + ` && !document.querySelector("#link").innerText.includes("polling")`)
	if where := b.Eval("location.href + document.cookie"); strings.Contains(where, token) {
		t.Errorf("the token is at %s", where)
	}
}

// A node that has not joined is waited for.
func TestJoining(t *testing.T) {
	s := newSite(t, nil, web.Options{})
	s.says = strings.NewReplacer("still joining", "in other words")
	b := launch(t, s.url(), 1280, 800)
	b.until(says("#banners", "still joining"))
	node := newFake("a", "b")
	t.Cleanup(func() { s.api.Close(); node.hub.Close(); close(node.done) })
	s.api.Joined(node)
	b.until(says("#headline", "All 2 members are up"))
}

// What the table shows is in the address, and comes back with it; nothing else is touched by what an address says.
func TestAddress(t *testing.T) {
	node := newFake("a", "b", "c", "d")
	s := newSite(t, node, web.Options{})
	node.tell(cluster.Down, "d", cluster.ReasonSilent)
	b := launch(t, s.url(), 1280, 800)
	b.until(says("#headline", "1 down of 4 members"))
	b.Do(chromedp.Click("button.count.is-down"))
	b.until(says("#members-title", "1 of 4 members"))
	b.Do(chromedp.Click("button.count.is-up"), chromedp.Click("th.c-name button"), chromedp.Click("th.c-name button"))
	b.Do(chromedp.SendKeys("#filter", "ZONE=a"))
	names := `[...document.querySelectorAll("tbody tr[data-name]")].map(r => r.dataset.name).join(" ")`
	b.until(names + ` === "d a"`)
	b.until(`location.hash === "#/?state=down%2Cup&q=ZONE%3Da&sort=-name"`)
	b.Do(chromedp.Reload())
	b.until(names + ` === "d a"`)
	b.until(`document.querySelector("th.c-name").getAttribute("aria-sort") === "descending"`)
	b.Do(chromedp.Click(row("d") + " td.c-rtt"))
	b.until(says("#member", "d", "It was called down as the doubts of"))
	b.Do(chromedp.Click("#member .back"))
	b.until(names + ` === "d a"`)
	b.Eval(`document.querySelector("#filter").value = "nobody", document.querySelector("#filter").dispatchEvent(new Event("input"))`)
	b.until(says("#table", "No member is like that."))
	b.Do(chromedp.Click("#table .empty button"))
	b.until(names + ` === "d c b a"`)
	for _, bad := range []string{"#/?sort=constructor&state=up,x", "#/?sort=-", "#/?state=%", "#nothing", "#/member/%E0%A4%A"} {
		b.Eval(fmt.Sprintf(`location.hash = %q`, bad))
		b.until(says("main", "d"))
	}
	b.until(says("#member", "This node knows no member of this name."))
}

// The page of a member says why the node thinks of it what it does, and follows.
func TestMemberPage(t *testing.T) {
	node := newFake(twelve...)
	s := newSite(t, node, web.Options{})
	node.tell(cluster.Suspect, "orders-2", cluster.ReasonSilent)
	b := launch(t, s.url()+"#/member/orders-2", 1280, 800)
	b.until(says("#member", "orders-2", "suspect for", "it was asked 4 times", "add up to φ 6.1 of the 8.4 that a verdict takes", "81,234"))
	b.until(says(".opinions", "φ 2.1", "φ 3.4", "φ 0.6"))
	b.until(`document.querySelector(".chart svg").getAttribute("aria-label").includes("a verdict takes 8.4")`)
	b.until(`document.querySelector(".chart .line").getAttribute("d").length > 20`)
	node.tell(cluster.Down, "orders-2", cluster.ReasonExited, func(m *fakeMember, e *cluster.Event) {
		m.exit, e.Detail = "signal: killed", "signal: killed"
	})
	b.until(says("#member", "down for", "its service ended: signal: killed"))
	b.until(says("#member .events", "its service ended · signal: killed"))
	node.forget("orders-2")
	b.until(says("#member", "not known here"))
	b.Eval(`location.hash = "#/member/gateway-1"`)
	b.until(says("#member", "This is the node that was asked."))
}

// A node of a later version may say what this page has no word for: that is shown as not known, and
// all else as ever.
func TestUnknownWords(t *testing.T) {
	node := newFake("a", "b", "c", "d")
	s := newSite(t, node, web.Options{})
	node.tell(cluster.Down, "b", cluster.ReasonSilent)
	node.tell(cluster.Updated, "c", cluster.ReasonHealth, wedged)
	s.says = strings.NewReplacer(`"down"`, `"dozing"`, `"suspect"`, `"constructor"`, `"wedged"`, `"hasOwnProperty"`,
		`"silent"`, `"toString"`)
	b := launch(t, s.url(), 1280, 800)
	b.until(says("#headline", "1 unknown of 4 members"))
	b.until(says(row("b"), "unknown"))
	b.until(says("#attention-list", "b unknown for"))
	b.until(`document.querySelectorAll("#ring .dot.is-unknown circle").length === 1`)
	node.tell(cluster.Suspect, "d", cluster.ReasonSilent)
	b.until(says("#headline", "2 unknown of 4 members"))
	b.until(says("#feed", "d constructor toString"))
	node.tell(cluster.Left, "a", cluster.ReasonLeft)
	b.until(says(row("a"), "left"))
	b.Eval(`location.hash = "#/member/b"`)
	b.until(says("#member", "unknown for", "The latest sign of life"))
	node.tell(cluster.Up, "b", cluster.ReasonHeard)
	b.until(says("#member", "up for"))
}

// On a phone nothing is wider than the screen.
func TestPhone(t *testing.T) {
	node := newFake(append([]string{strings.Repeat("W", 128)}, twelve...)...)
	s := newSite(t, node, web.Options{})
	b := launch(t, s.url(), 360, 780)
	b.until(says("#headline", "All 13 members are up"))
	for _, at := range []string{"#/", "#/member/" + strings.Repeat("W", 128), "#/member/orders-1"} {
		b.Eval(fmt.Sprintf(`location.hash = %q`, at))
		time.Sleep(1500 * time.Millisecond)
		if wide := b.Eval(`document.documentElement.scrollWidth`); wide != "360" {
			t.Errorf("%s is %s pixels wide, want 360", at, wide)
		}
	}
}
