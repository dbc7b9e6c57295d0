//go:build unix && !linux

package supervise

const endsWithParent = false
