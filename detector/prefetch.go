//go:build amd64 || arm64

package detector

import "unsafe"

// prefetch asks the processor to load size bytes from p on into its caches, and waits for nothing. It is no access: memory
// that others write may be asked for without a lock, and any address is allowed.
//
// Go has no other way to say so. To read the clock waits for all loads before it, and to lock a mutex lets none after
// it begin, but neither waits for what was only asked for.
//
//go:noescape
func prefetch(p unsafe.Pointer, size uintptr)
