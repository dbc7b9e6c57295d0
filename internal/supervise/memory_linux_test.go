package supervise

import (
	"os"
	"path/filepath"
	"testing"
)

// What machines and containers show of their control groups.
func TestCounterFile(t *testing.T) {
	const (
		v2    = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
		v1cpu = "34 29 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
		v1    = v1cpu + "35 29 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
		root  = "24 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	)
	for _, c := range []struct{ name, cgroup, mounts, want string }{
		{"v2, a service", "0::/system.slice/a.service\n", root + v2, "/sys/fs/cgroup/system.slice/a.service/memory.events"},
		{"v2, a container", "0::/\n", root + v2, "/sys/fs/cgroup/memory.events"},
		{"v2, a container that sees the host's path", "0::/docker/abc\n",
			"30 24 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "/sys/fs/cgroup/memory.events"},
		{"v1", "9:cpu,cpuacct:/x\n4:memory:/user.slice\n", root + v1, "/sys/fs/cgroup/memory/user.slice/memory.oom_control"},
		{"v1, a container", "4:memory:/docker/abc\n1:cpu:/docker/abc\n",
			v1cpu + "35 29 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n", "/sys/fs/cgroup/memory/memory.oom_control"},
		{"both, and v1 has the memory", "4:memory:/a\n0::/b\n", v1 + v2, "/sys/fs/cgroup/memory/a/memory.oom_control"},
		{"both, and v2 has the memory", "4:cpu:/a\n0::/b\n", v1cpu + v2, "/sys/fs/cgroup/b/memory.events"},
		{"a space", "0::/a b\n", "30 24 0:26 / /sys/fs/c\\040g rw - cgroup2 cgroup2 rw\n", "/sys/fs/c g/a b/memory.events"},
		{"another's mount comes first", "0::/a\n", "29 24 0:26 /other /mnt rw - cgroup2 cgroup2 rw\n" + v2, "/sys/fs/cgroup/a/memory.events"},
		{"outside of what is mounted", "0::/../a\n", v2, ""},
		{"nothing is mounted", "0::/a\n", root, ""},
		{"no groups", "", root + v2, ""},
		{"garbage", "x\n::\n0:\n", "x\n - \n - cgroup2\n", ""},
	} {
		got, ok := counterFile(c.cgroup, c.mounts)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q, %v; want %q", c.name, got, ok, c.want)
		}
	}
}

func TestReadCount(t *testing.T) {
	for content, want := range map[string]struct {
		n  uint64
		ok bool
	}{
		"low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n": {2, true},
		"oom_kill_disable 0\nunder_oom 0\noom_kill 41\n":               {41, true},
		"oom_kill_disable 0\nunder_oom 0\n":                            {0, false}, // before Linux 4.13
		"oom_kill x\n":                                                 {0, false},
		"":                                                             {0, false},
	} {
		path := filepath.Join(t.TempDir(), "events")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if n, ok := readCount(path); n != want.n || ok != want.ok {
			t.Errorf("%q: %d, %v", content, n, ok)
		}
	}
	if _, ok := readCount("/no/such/file"); ok {
		t.Error("a missing file counts")
	}
}

// Any Linux since 4.13 has a count.
func TestFindCounter(t *testing.T) {
	if _, ok := readCount("/proc/vmstat"); !ok {
		t.Skip("this system does not count")
	}
	if _, ok := findCounter().read(); !ok {
		t.Error("no count on this machine")
	}
}
