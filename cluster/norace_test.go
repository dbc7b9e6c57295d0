//go:build !race

package cluster_test

// townsOfATest is how many towns a test tells its story in at most; 0: all.
const townsOfATest = 0
