//go:build unix && !linux

package command

const endsWithParent = false
