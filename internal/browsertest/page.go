//go:build e2e && linux

package browsertest

import (
	"context"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Patience is how long a browser may take: machines of tests are busy.
const Patience = time.Minute

// Page is one page in a Chromium of its own. It is gone with the test.
type Page struct {
	T       *testing.T
	Name    string // in what a failing test says
	Context context.Context
	Stop    func() // ends the browser, as a crash would
}

// Launch starts a browser with an empty page; flags are Chromium's. It skips the test, with the reason, where there is none.
func Launch(t *testing.T, name string, flags map[string]any, options ...chromedp.ContextOption) *Page {
	t.Helper()
	path := ""
	for _, command := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(command); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("there is no Chromium here: install the package chromium to run this test")
	}
	start := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.Flag("disable-dev-shm-usage", true), // it is small in containers
	)
	for flag, value := range flags {
		start = append(start, chromedp.Flag(flag, value))
	}
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), start...)
	ctx, stopPage := chromedp.NewContext(alloc, append([]chromedp.ContextOption{chromedp.WithErrorf(t.Logf)}, options...)...)
	p := &Page{t, name, ctx, func() { stopPage(); stopAlloc() }}
	t.Cleanup(p.Stop)
	return p
}

// Do acts in the page.
func (p *Page) Do(actions ...chromedp.Action[chromedp.Void]) {
	p.T.Helper()
	Within(p, func() (chromedp.Void, error) { return chromedp.Void{}, chromedp.Do(p.Context, actions...) })
}

// Eval is the value of a JavaScript expression in the page, as text.
func (p *Page) Eval(expression string) string {
	p.T.Helper()
	return Within(p, func() (string, error) {
		return chromedp.Run(p.Context, chromedp.Evaluate[string]("String("+expression+")"))
	})
}

// Within does what should take less than Patience. The context of the first action lives as long as the browser, and cannot have
// a deadline.
func Within[T any](p *Page, act func() (T, error)) (value T) {
	p.T.Helper()
	done := make(chan error, 1)
	go func() {
		v, err := act()
		value = v
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			p.T.Fatalf("%s's browser: %v", p.Name, err)
		}
	case <-time.After(Patience):
		p.T.Fatalf("%s's browser has not answered for %v", p.Name, Patience)
	}
	return value
}
