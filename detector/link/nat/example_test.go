package nat_test

import (
	"context"
	"log"
	"net"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/nat"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// A client that stays connected, and beats as seldom as its network allows.
func Example() {
	const server = "gate.example:9001"
	ctx := context.Background()
	dial := func(ctx context.Context) (link.Transport, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", server)
		if err != nil {
			return nil, err
		}
		return tcp.New(conn, 0), nil
	}
	client, err := link.Dial(ctx, link.Config{}, dial)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	memory, err := nat.OpenMemory("/var/cache/pump/networks.json")
	if err != nil {
		log.Print(err) // a damaged file is no reason to stop
	}
	learner, err := nat.Learn(nat.Config{
		Dial: dial, Server: server, Memory: memory,
		Set: func(every time.Duration) { client.SetInterval(every) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer learner.Close()
	for e := range client.Events(ctx) {
		learner.Saw(e)
	}
}
