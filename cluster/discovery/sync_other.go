//go:build !unix

package discovery

// syncDir does nothing: Windows has no such call, and its file system keeps a journal of renames.
func syncDir(string) error { return nil }
