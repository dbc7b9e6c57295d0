//go:build e2e && linux

package page_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/tracing"
)

// trace is what the browser measured of its own work. Its times are those of the processor: a busy machine makes a page slow, and none of
// its tasks larger.
type trace struct {
	mu     sync.Mutex
	events []traced
	done   chan struct{}
}

// traced is one piece of work of a thread; times in microseconds.
type traced struct {
	Name    string  `json:"name"`
	Phase   string  `json:"ph"`
	Process int     `json:"pid"`
	Thread  int     `json:"tid"`
	Begin   float64 `json:"ts"`
	Took    float64 `json:"dur"`
	Worked  float64 `json:"tdur"`
	Args    struct {
		Name string `json:"name"`
	} `json:"args"`
}

// listener takes what the browser reports.
func (r *trace) listener(event any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := event.(type) {
	case *tracing.EventDataCollected:
		for _, value := range e.Value {
			var one traced
			if json.Unmarshal(value, &one) == nil {
				r.events = append(r.events, one)
			}
		}
	case *tracing.EventTracingComplete:
		close(r.done)
	}
}

// record measures the work of the page while act runs, and returns it.
func (b *browser) record(act func()) []traced {
	b.T.Helper()
	b.trace.mu.Lock()
	b.trace.events, b.trace.done = nil, make(chan struct{})
	done := b.trace.done
	b.trace.mu.Unlock()
	b.Do(call(tracing.Start, tracing.StartParams{TraceConfig: &tracing.TraceConfig{
		IncludedCategories: []string{"toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"},
	}}))
	act()
	b.Do(call(tracing.End, cdp.Empty{}))
	select {
	case <-done:
	case <-time.After(patience):
		b.T.Fatalf("the browser has not told of its work for %v", patience)
	}
	b.trace.mu.Lock()
	defer b.trace.mu.Unlock()
	return b.trace.events
}

// tasks are the pieces of work that a page's main thread does one after the other.
func tasks(events []traced) []traced {
	main := map[[2]int]bool{}
	for _, e := range events {
		if e.Name == "thread_name" && e.Args.Name == "CrRendererMain" {
			main[[2]int{e.Process, e.Thread}] = true
		}
	}
	var all []traced
	for _, e := range events {
		if e.Phase == "X" && e.Name == "ThreadControllerImpl::RunTask" && main[[2]int{e.Process, e.Thread}] {
			all = append(all, e)
		}
	}
	return all
}

// parts is what a task consists of: what takes longest.
func parts(events []traced, task traced) string {
	took := map[string]float64{}
	for _, e := range events {
		if e.Process == task.Process && e.Thread == task.Thread && e.Begin >= task.Begin && e.Begin+e.Took <= task.Begin+task.Took && e.Worked > 0 {
			took[e.Name] += e.Worked
		}
	}
	names := slices.SortedFunc(maps.Keys(took), func(a, b string) int { return cmp.Compare(took[b], took[a]) })
	var text strings.Builder
	for _, name := range names[:min(8, len(names))] {
		fmt.Fprintf(&text, "%s %.0f ms, ", name, took[name]/1000)
	}
	return text.String()
}
