//go:build !linux

package detector

// adviseHugePages does nothing where there is no such advice to give.
func adviseHugePages[T any]([]T) {}
