package supervise

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// findCounter finds the count of this process's control group, which a child begins in as well.
func findCounter() counter {
	cgroup, _ := os.ReadFile("/proc/self/cgroup")
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	path, ok := counterFile(string(cgroup), string(mounts))
	c := counter{own: true, read: func() (uint64, bool) { return readCount(path) }}
	if ok {
		if _, ok := c.read(); ok {
			return c
		}
	}
	// The group at the top has none: Linux counts for the whole machine (since 4.13).
	return counter{read: func() (uint64, bool) { return readCount("/proc/vmstat") }}
}

// readCount reads the line "oom_kill N" of a file.
func readCount(path string) (uint64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(b) {
		if n, ok := strings.CutPrefix(string(line), "oom_kill "); ok {
			count, err := strconv.ParseUint(strings.TrimSpace(n), 10, 64)
			return count, err == nil
		}
	}
	return 0, false
}

// counterFile is where a process's group is counted, by what /proc/PID/cgroup (cgroups(7)) and
// /proc/PID/mountinfo (proc(5)) say: memory.oom_control where cgroup v1 has the memory,
// memory.events with v2. A library for this (containerd/cgroups) would bring eBPF and D-Bus along.
func counterFile(cgroup, mounts string) (path string, ok bool) {
	group, kind, file := "", "", ""
	for line := range strings.Lines(cgroup) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3) // hierarchy:controllers:path
		switch {
		case len(parts) != 3:
		case has(parts[1], "memory"):
			group, kind, file = parts[2], "cgroup", "memory.oom_control"
		case parts[0] == "0" && kind == "":
			group, kind, file = parts[2], "cgroup2", "memory.events"
		}
	}
	if kind == "" || strings.HasPrefix(group, "/..") { // outside of what this process may see
		return "", false
	}
	lines := bufio.NewScanner(strings.NewReader(mounts))
	for lines.Scan() {
		// 36 35 98:0 /root /mount/point rw,noatime master:1 - type source options
		mount, super, found := strings.Cut(lines.Text(), " - ")
		at, about := strings.Fields(mount), strings.Fields(super)
		if !found || len(at) < 5 || len(about) < 3 || about[0] != kind || kind == "cgroup" && !has(about[2], "memory") {
			continue
		}
		// A container sees its own group as the mount's root, and may see the path of it as the
		// host does.
		within, err := filepath.Rel(unescape(at[3]), group)
		if err != nil || within == ".." || strings.HasPrefix(within, "../") {
			continue
		}
		return filepath.Join(unescape(at[4]), within, file), true
	}
	return "", false
}

// has tells whether a list with commas has a word.
func has(list, word string) bool { return strings.Contains(","+list+",", ","+word+",") }

// unescape undoes what the kernel does to spaces, tabs, line breaks and backslashes in mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
