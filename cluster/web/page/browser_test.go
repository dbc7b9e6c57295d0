//go:build e2e && linux

package page_test

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for what should come soon: machines of tests are busy.
const patience = time.Minute

// browser is one page in a browser of its own.
type browser struct {
	t     *testing.T
	ctx   context.Context
	trace *trace
}

// launch opens a page. What goes wrong in its scripts fails the test.
func launch(t *testing.T, url string, width, height int) *browser {
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
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.Flag("disable-dev-shm-usage", true), // it is small in containers
		chromedp.Flag("force-color-profile", "srgb"),
	)
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), options...)
	record := &trace{}
	ctx, stopPage := chromedp.NewContext(alloc, chromedp.WithErrorf(t.Logf), chromedp.WithListener(func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("a script of the page fails: %s %s", e.ExceptionDetails.Text, e.ExceptionDetails.Exception.Description)
		case *log.EventEntryAdded:
			if e.Entry.Source == log.EntrySourceSecurity || e.Entry.Source == log.EntrySourceViolation {
				t.Errorf("the page breaks its policy: %s", e.Entry.Text)
			}
		}
	}), chromedp.WithListener(record.listener))
	t.Cleanup(func() { stopPage(); stopAlloc() })
	b := &browser{t, ctx, record}
	b.size(width, height)
	b.do(chromedp.Navigate(url))
	return b
}

func (b *browser) size(width, height int) {
	b.t.Helper()
	b.do(call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: int64(width), Height: int64(height), DeviceScaleFactor: 1, Mobile: width < 720,
	}))
}

// prefers sets what the page is told of its user by a media feature, such as prefers-color-scheme.
func (b *browser) prefers(feature, value string) {
	b.t.Helper()
	b.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: feature, Value: value}},
	}))
}

// call is a command to the browser whose answer says nothing.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, command, params)
		return chromedp.Void{}, err
	}
}

// do acts in the page, within patience. The context of the first action lives as long as the browser, and cannot have a deadline.
func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	within(b, func() (chromedp.Void, error) { return chromedp.Void{}, chromedp.Do(b.ctx, actions...) })
}

func within[T any](b *browser, act func() (T, error)) (value T) {
	b.t.Helper()
	done := make(chan error, 1)
	go func() {
		v, err := act()
		value = v
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			b.t.Fatalf("the browser: %v", err)
		}
	case <-time.After(patience):
		b.t.Fatalf("the browser has not answered for %v", patience)
	}
	return value
}

// eval is the value of a JavaScript expression in the page, as text.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	return within(b, func() (string, error) {
		return chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	})
}

// until waits for an expression to be true in the page, and returns how long that took.
func (b *browser) until(expression string) time.Duration {
	b.t.Helper()
	begin := time.Now()
	for b.eval(expression) != "true" {
		if time.Since(begin) > patience {
			b.t.Fatalf("not so after %v: %s\nthe page:\n%.2000s", patience, expression, b.eval("document.body.innerText"))
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(begin)
}
