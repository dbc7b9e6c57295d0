//go:build e2e && unix

package main

import (
	"context"
	"flag"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var askedPairs = flag.Int("asked", 0, "how many pairs of crashes to measure, in a ring that is asked and in one that is not")

// What thousands of questions a second and hundreds of readers change about how soon a crash is known: a member of five is killed again
// and again, in turns while nobody asks and while the others are asked as often as they answer, with 500 streams of events open.
//
//	go test -tags e2e ./cmd/pulsering -run TestCrashWhileAsked -v -timeout 0 -args -asked 10
func TestCrashWhileAsked(t *testing.T) {
	if *askedPairs == 0 {
		t.Skip("a measurement: say how many pairs with -args -asked 10")
	}
	all := town(t, []string{"a", "b", "c", "d", "e"})
	victim := all[4]
	others := all[:4]
	var known [2][]time.Duration
	var answers atomic.Int64
	var asking time.Duration
	for pair := range 2 * *askedPairs {
		asked := pair % 2
		ctx, quiet := context.WithCancel(t.Context())
		var load sync.WaitGroup
		if asked == 1 {
			for _, m := range others {
				client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}}
				for range 125 {
					load.Go(func() { drain(ctx, client, "http://"+m.http+"/v1/events", nil) })
				}
				load.Go(func() {
					for ctx.Err() == nil {
						drain(ctx, client, "http://"+m.http+"/v1/members", &answers)
					}
				})
			}
		}
		begun := time.Now()
		time.Sleep(3 * time.Second)
		fromHere(others)
		killed := time.Now()
		victim.kill()
		for _, m := range others {
			known[asked] = append(known[asked], m.expect("down", "e").Time.Sub(killed))
		}
		if asked == 1 {
			asking += time.Since(begun)
		}
		quiet()
		load.Wait()
		onlyDown(t, others, "e")
		fromHere(others)
		victim = launch(t, "e", freshAddr(t), joining(others)...)
		for _, m := range others {
			m.expect("up", "e")
		}
	}
	for asked, took := range known {
		slices.Sort(took)
		t.Logf("asked %v: known after %v (median of %d), %v (worst)", asked == 1, took[len(took)/2], len(took), took[len(took)-1])
	}
	t.Logf("%.0f answers a second", float64(answers.Load())/asking.Seconds())
}

func drain(ctx context.Context, client *http.Client, url string, count *atomic.Int64) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	answer, err := client.Do(request)
	if err != nil {
		return
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err == nil && count != nil && answer.StatusCode == http.StatusOK {
		count.Add(1)
	}
}
