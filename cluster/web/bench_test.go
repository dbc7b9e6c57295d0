package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
)

func crowded(members int) *fakeNode {
	f := newFake()
	for i := range members - 1 {
		name := fmt.Sprintf("member-%04d", i)
		m := member(name)
		m.Tags = map[string]string{"zone": "a", "http": "10.0.0.1:8080"}
		f.others[name] = m
	}
	return f
}

func asked(path string) *http.Request {
	r := httptest.NewRequest("GET", path, nil)
	r.Host = "localhost"
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, loopback))
}

// One answer with all members, encoded anew each time: has to be below 10 ms.
func BenchmarkMembers1000(b *testing.B) {
	s := serve(b, crowded(1000), Options{})
	r := asked("/v1/members")
	for b.Loop() {
		s.joined.Load().view.changed()
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}

// Questions over sockets, of clients that keep their connection: has to be above 10,000 a second.
func BenchmarkRequests(b *testing.B) {
	for _, members := range []int{5, 1000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			s := serve(b, crowded(members), Options{})
			server := httptest.NewServer(s.Handler())
			defer server.Close()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
			defer client.CloseIdleConnections()
			b.SetParallelism(4)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					answer, err := client.Get(server.URL + "/v1/members")
					if err != nil {
						b.Error(err)
						return
					}
					io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
		})
	}
}

// One event for 500 readers over sockets, until the last of them has it.
func BenchmarkEvents500(b *testing.B) {
	const readers = 500
	f := crowded(5)
	s := serve(b, f, Options{})
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	var got sync.WaitGroup
	for range readers {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		go func() {
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				if lines.Text() == "event: updated" {
					got.Done()
				}
			}
		}()
	}
	time.Sleep(200 * time.Millisecond) // all of them are behind the present state
	for b.Loop() {
		got.Add(readers)
		f.tell(cluster.Updated, "member-0001")
		got.Wait()
	}
}
