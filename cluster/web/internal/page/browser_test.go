//go:build e2e && linux

package page_test

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/pulsering/pulsering/internal/browsertest"
)

// patience is how long a test waits for what should come soon.
const patience = browsertest.Patience

// browser is one page in a browser of its own.
type browser struct {
	*browsertest.Page
	trace *trace
}

// launch opens a page. What goes wrong in its scripts fails the test.
func launch(t *testing.T, url string, width, height int) *browser {
	t.Helper()
	record := &trace{}
	b := &browser{browsertest.Launch(t, "the test", map[string]any{"force-color-profile": "srgb"}, chromedp.WithListener(func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("a script of the page fails: %s %s", e.ExceptionDetails.Text, e.ExceptionDetails.Exception.Description)
		case *log.EventEntryAdded:
			if e.Entry.Source == log.EntrySourceSecurity || e.Entry.Source == log.EntrySourceViolation {
				t.Errorf("the page breaks its policy: %s", e.Entry.Text)
			}
		}
	}), chromedp.WithListener(record.listener)), record}
	b.size(width, height)
	b.Do(chromedp.Navigate(url))
	return b
}

func (b *browser) size(width, height int) {
	b.T.Helper()
	b.Do(call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: int64(width), Height: int64(height), DeviceScaleFactor: 1, Mobile: width < 720,
	}))
}

// prefers sets what the page is told of its user by a media feature, such as prefers-color-scheme.
func (b *browser) prefers(feature, value string) {
	b.T.Helper()
	b.Do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
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

// until waits for an expression to be true in the page, and returns how long that took.
func (b *browser) until(expression string) time.Duration {
	b.T.Helper()
	begin := time.Now()
	for b.Eval(expression) != "true" {
		if time.Since(begin) > patience {
			b.T.Fatalf("not so after %v: %s\nthe page:\n%.2000s", patience, expression, b.Eval("document.body.innerText"))
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(begin)
}
