//go:build !linux

package supervise

// findCounter returns one that counts nothing: this system does not tell.
func findCounter() counter {
	return counter{read: func() (uint64, bool) { return 0, false }}
}
