// Package discovery says where the seeds of a cluster come from: the addresses that a node joins
// through.
//
// A [Source] is asked anew each time a node tries to join, or looks for members that it lost, so
// that what it tells may change while the node runs. [Parse] makes one of a text, as it stands
// behind a flag:
//
//	10.0.0.1:7946, [2001:db8::1]:7946, 10.0.0.1, 2001:db8::1, pulsering.example
//	        one address; the port is 7946 where it is left out
//	dns+srv://_pulsering._udp.example
//	        SRV records (RFC 2782): hosts with their ports, in the order of priority and weight
//	dns+srv://pulsering.service.consul?resolver=127.0.0.1:8600
//	        the same, asked of one name server; the port is 53 where it is left out
//	file:/etc/pulsering/seeds
//	        a file of addresses, one a line; # begins a comment
//	exec:aws-seeds --region eu-west-1
//	        a program that prints addresses, one a line or with spaces between them
//
// [All] joins several sources into one. A [State] remembers the members that this node knew before
// it was restarted, and its boot. In a node:
//
//	state, err := discovery.Open("/var/lib/pulsering")
//	…
//	defer state.Close()
//	srv, err := discovery.Parse("dns+srv://_pulsering._udp.example")
//	…
//	members, boot := state.Last()
//	cfg := cluster.Config{Discover: srv.Discover, LastBoot: boot}
//	for _, m := range members {
//		cfg.Remembered = append(cfg.Remembered, cluster.Member{Name: m.Name, Addr: m.Addr})
//	}
//	node, err := cluster.Join(ctx, cfg)
//	…
//	go state.Keep(ctx, up, nil) // see the example of Keep
//
// # What comes from outside
//
// A source never ends a node: what is wrong with it is an error of one ask. What it gives is used
// as far as it can be understood, and the error says what was left out. One ask of one source gives
// at most 256 addresses, reads at most 256 KiB, and takes at most 8 seconds, or as long as its
// context; a program then has half a second to tidy up. Everything that comes from outside is quoted
// in errors.
//
// A file is read at each ask and not watched by way of the kernel: a link that is turned to another
// file (a ConfigMap of Kubernetes), an editor that renames, a file that is not there yet and one on
// a network disk are then all the same, and a read of a few lines costs microseconds. A file that
// is written in place may be read half: write it beside, and rename it. A pipe or a device is an
// error.
//
// A read from a disk whose server is dead cannot be called off, nor can the start of a program
// there. Nobody waits for it longer than for anything else; until it ends, each ask of that source
// is an error at once.
//
// Names of SRV targets are resolved here, and not left to whoever joins: the name server that knows
// the records may be the only one to know the names in them (Consul's), and a target without an
// address is told. A plain name is left as it is, and cluster resolves it at each try.
//
// A program is asked to end (SIGTERM) when its time is over, and killed with its process group (on
// Windows: a job) where it does not. It does not outlive a node that is killed, on Linux, FreeBSD
// and Windows; what it began itself may, but for Windows.
//
// A command runs without a shell: nothing in it is expanded, it needs no shell in a container that
// has none, and it is the same on every system. Quotes of both kinds keep words together, and
// nothing else is special; a backslash is a backslash. Who wants a shell asks for it:
//
//	exec:sh -c 'cat /etc/seeds/* | head'
package discovery
