//go:build e2e && linux

package main

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/pulsering/pulsering/detector/link"
)

// inBrowsers is how rooms for browsers beat, so that tests are short.
var inBrowsers = link.Config{Interval: 500 * time.Millisecond, Grace: 5 * time.Second}

// watch has the page note each state of somebody, for states.
func (b *browser) watch(name string) {
	b.T.Helper()
	b.Eval(fmt.Sprintf(`(() => {
		const look = () => document.querySelector('#people [data-name=%q]')?.className;
		window.states = [look()];
		new MutationObserver(() => {
			if (look() !== states.at(-1)) states.push(look());
		}).observe(document.querySelector('#people'), { childList: true });
	})()`, name))
}

const states = "states.join(' ')"

// Two browsers: what they say, and what each sees when the other one's page freezes, its processes
// stop, the page is loaded anew, and the browser ends.
func TestTwoBrowsers(t *testing.T) {
	s := newStand(t, inBrowsers)
	ann, bob := s.open("ann"), s.open("bob")
	for _, b := range []*browser{ann, bob} {
		b.sees("ann", "online")
		b.sees("bob", "online")
	}
	ann.says("Hello Bob!")
	bob.until(messages, "Hello Bob!")
	bob.says("Hello Ann. <b>How</b> are you?")
	ann.until(messages, "Hello Bob!|Hello Ann. <b>How</b> are you?")

	// The browser answers pings for a page that is frozen, and for one whose process is stopped:
	// the session stays up, and only the questions to the script tell.
	stillUp := func(what string) {
		t.Helper()
		if v, _ := s.room.server.Session("ann"); v.State != link.Up {
			t.Errorf("%s: the session is %v %v; browsers used to answer pings all the same", what, v.State, v.Cause)
		}
	}
	bob.watch("ann")
	ann.lifecycle(page.SetWebLifecycleStateStateFrozen)
	bob.sees("ann", "away")
	stillUp("frozen")
	bob.says("Are you there?")
	ann.lifecycle(page.SetWebLifecycleStateStateActive)
	bob.sees("ann", "online")
	ann.until(messages, "Hello Bob!|Hello Ann. <b>How</b> are you?|Are you there?")

	ann.signal(syscall.SIGSTOP)
	bob.sees("ann", "away")
	stillUp("stopped")
	ann.signal(syscall.SIGCONT)
	bob.sees("ann", "online")
	if got, want := bob.Eval(states), "online away online away online"; got != want {
		t.Errorf("bob saw %q, want %q", got, want)
	}

	// A page that is loaded anew resumes, with what was said before and meanwhile.
	bob.watch("ann")
	for i := range 3 {
		said := fmt.Sprintf("message %d", i)
		bob.says(said)
		ann.Do(chromedp.Reload())
		ann.until(messages+".endsWith('"+said+"')", "true")
		ann.until(messages+".split('|').length", fmt.Sprint(4+i)) // none is lost, none comes twice
	}
	ann.says("still here")
	bob.until(messages+".endsWith('|still here')", "true")
	if got := bob.Eval(states); got != "online" {
		t.Errorf("bob saw %q, want no leave in a reload", got)
	}

	bob.watch("ann")
	closed := time.Now()
	ann.Stop()
	bob.sees("ann", "away")
	bob.sees("ann", "offline")
	if took := time.Since(closed); took < inBrowsers.Grace {
		t.Errorf("offline after %v, before the grace of %v is over", took, inBrowsers.Grace)
	}
	if got, want := bob.Eval(states), "online away offline"; got != want {
		t.Errorf("bob saw %q, want %q", got, want)
	}
}

// A name is its user's until the user is gone.
func TestNameIsTaken(t *testing.T) {
	s := newStand(t, inBrowsers)
	ann, other := s.open("ann"), s.open("ann")
	other.until("document.querySelector('#refused').textContent", "Somebody else is called ann here.")
	ann.sees("ann", "online")
	ann.Do(chromedp.Click("#leave"), chromedp.WaitVisible("#door"))
	other.Do(chromedp.SendKeys("#name", "\r"))
	other.sees("ann", "online")
}

// A server that ends tells the pages when to come back. The one after it knows no session, and the
// pages begin anew with what they said meanwhile.
func TestServerStartsAgain(t *testing.T) {
	s := newStand(t, inBrowsers)
	ann := s.open("ann")
	ann.sees("ann", "online")
	ann.says("before")
	ann.until(messages, "before")
	ann.Eval(`(() => {
		window.waits = [];
		const real = setTimeout;
		window.setTimeout = (f, ms) => { waits.push(ms); return real(f, ms); };
	})()`)
	var down atomic.Bool
	down.Store(true)
	s.restart(&down)
	ann.until("waits.length > 0", "true")
	if first := ann.Eval("waits[0]"); ann.Eval("Number.isInteger(waits[0]) && waits[0] <= 5000") != "true" {
		t.Errorf("the page waits %s ms, want whole milliseconds, as the server says", first)
	}
	ann.says("meanwhile")
	down.Store(false)
	ann.until(messages, "before|meanwhile")
	ann.sees("ann", "online")
}

// A path that is dead tells neither end. The page's script finds it by the server's questions,
// which stay out, and resumes: what both said meanwhile is not lost.
func TestPathIsDead(t *testing.T) {
	cfg := inBrowsers
	cfg.Grace = patience
	s := newStand(t, cfg)
	ann := s.open("ann")
	ann.sees("ann", "online")
	s.router.forget()
	ann.says("into the void")
	s.room.tell(said{Kind: "said", From: "bob", Text: "likewise"})
	ann.until(messages, "likewise|into the void")
	if n := s.room.server.Stats().Duplicates.Load(); n > 0 {
		t.Errorf("%d messages came twice", n)
	}
	ann.sees("ann", "online")
	if v, _ := s.room.server.Session("ann"); v.State != link.Up {
		t.Errorf("the session is %v", v.State)
	}
}

// A page that is left may be kept for the Back button, and its browser goes on to answer pings: the
// page says itself that nobody is there, and goes on where it was when somebody comes back.
func TestPageIsLeft(t *testing.T) {
	s := newStand(t, link.Config{Interval: 500 * time.Millisecond, Grace: patience})
	ann, bob := s.open("ann"), s.open("bob")
	bob.sees("ann", "online")
	bob.watch("ann")
	ann.Do(chromedp.Navigate("about:blank"))
	bob.until("document.querySelector('#people [data-name=ann] small')?.textContent", "away: the connection was closed")
	bob.says("Where are you?")
	bob.until(messages, "Where are you?")
	ann.Eval("history.back()")
	bob.sees("ann", "online")
	ann.until(messages, "Where are you?")
	if got, want := bob.Eval(states), "online away online"; got != want {
		t.Errorf("bob saw %q, want %q", got, want)
	}
}
