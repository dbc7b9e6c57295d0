//go:build !amd64 && !arm64

package detector

import "unsafe"

// prefetch does nothing where we do not know how to.
func prefetch(unsafe.Pointer, uintptr) {}
