package clustertest_test

import (
	"fmt"
	"io"
	"log"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster/clustertest"
)

// Three memberlist nodes find each other over a network in memory, and one
// direction of one path goes away.
func Example() {
	network, err := clustertest.New(clustertest.Options{
		Seed: 1,
		Link: clustertest.Link{Delay: clustertest.Exponential(100*time.Microsecond, 50*time.Microsecond)},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()

	joined := make(chan memberlist.NodeEvent, 16)
	nodes := make([]*memberlist.Memberlist, 3)
	for i := range nodes {
		transport, err := network.Transport("") // 10.0.0.1:7946, 10.0.0.2:7946, ...
		if err != nil {
			log.Fatal(err)
		}
		config := memberlist.DefaultLANConfig()
		config.Name = fmt.Sprintf("node%d", i+1)
		config.Transport = transport
		config.EnableCompression = false
		config.LogOutput = io.Discard
		if i == 0 {
			config.Events = &memberlist.ChannelEventDelegate{Ch: joined}
		}
		if nodes[i], err = memberlist.Create(config); err != nil {
			log.Fatal(err)
		}
		defer nodes[i].Shutdown()
		if i > 0 {
			if _, err := nodes[i].Join([]string{"10.0.0.1:7946"}); err != nil {
				log.Fatal(err)
			}
		}
	}
	for range nodes {
		node := (<-joined).Node
		fmt.Println(node.Name, node.Address())
	}

	network.ResetCounters()
	network.Cut([]string{"10.0.0.2:7946"}, []string{"10.0.0.3:7946"})
	nodes[1].SendBestEffort(nodes[2].LocalNode(), []byte("lost"))
	counters, _ := network.Counters("10.0.0.2:7946")
	fmt.Println("lost in the cut:", counters.Cut.Packets > 0)

	// Output:
	// node1 10.0.0.1:7946
	// node2 10.0.0.2:7946
	// node3 10.0.0.3:7946
	// lost in the cut: true
}
