//go:build race

package cluster_test

// townsOfATest is how many towns a test tells its story in at most. Under the race detector, which takes ten times as long, two
// do: a race of one town is one of all.
const townsOfATest = 2
