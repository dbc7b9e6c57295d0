package metrics

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// BenchmarkScrape is one scrape of a node that observes 8 of its members, without sockets: look is the snapshot, all of what concerns
// the node; answer is that, what Prometheus's library does with it, and the text.
func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{5, 1000} {
		f := everything()
		f.members = observed(n)
		for i := range f.members {
			f.members[i].Observed = i%max(n/8, 1) == 0
		}
		b.Run(fmt.Sprint("look/", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				look(f, DefaultPhiLimit)
			}
		})
		b.Run(fmt.Sprint("answer/", n), func(b *testing.B) {
			registry := prometheus.NewRegistry()
			registry.MustRegister(told(f))
			handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
			ask := httptest.NewRequest("GET", "/metrics", nil)
			b.ReportAllocs()
			for b.Loop() {
				answer := httptest.NewRecorder()
				if handler.ServeHTTP(answer, ask); answer.Code != http.StatusOK {
					b.Fatal(answer.Body)
				}
			}
		})
	}
}
