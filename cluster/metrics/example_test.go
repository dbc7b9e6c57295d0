package metrics_test

import (
	"context"
	"log"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/metrics"
)

// A service that has metrics of its own shows those of its node beside them.
func ExampleNew() {
	node, err := cluster.Join(context.Background(), cluster.Config{Name: "orders-7", Bind: "10.0.0.7:7946"})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	prometheus.MustRegister(metrics.New(node))
}

// One that has none serves all there is to know of node and process.
func ExampleHandler() {
	node, err := cluster.Join(context.Background(), cluster.Config{Name: "orders-7", Bind: "10.0.0.7:7946"})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	http.Handle("GET /metrics", metrics.Handler(node, metrics.PhiLimit(64)))
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
}
