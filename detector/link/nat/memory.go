package nat

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// A Memory keeps what was found in a file, for each network and server. Use OpenMemory. All methods
// may be called from any goroutine. Several processes may use the same file: the file is whole at
// any time, and of two that save at the same moment one is forgotten.
type Memory struct {
	path string
	mu   sync.Mutex
}

// A Record is what is known of a network.
type Record struct {
	// Network and Server are what the record is about. The limit may be that of a balancer at the
	// far end.
	Network Network
	Server  string
	// Held is the longest sleep that held, Forgotten the shortest that did not, and How it was
	// forgotten; 0: none.
	Held, Forgotten time.Duration
	How             Outcome
	// At is when this was found.
	At time.Time
	// Losses is how often the connection was lost at an interval that was learnt, and LostAt when
	// that was last.
	Losses int
	LostAt time.Time
}

const (
	// maxRecords is how many networks are remembered: Mars, WeChat's network library, keeps 20.
	maxRecords = 64
	// maxAge is how old a record may be.
	maxAge = 90 * 24 * time.Hour
	// maxFile is how long a file is read.
	maxFile = 1 << 20
	// memoryVersion is that of the file.
	memoryVersion = 1
)

// ErrDamaged is in the error about a file that cannot be understood. It counts as empty, and the
// next Save replaces it.
var ErrDamaged = errors.New("nat: damaged memory file")

// OpenMemory returns the memory in a file, which need not be there yet. An error with ErrDamaged in
// it comes with a memory that can be used.
func OpenMemory(path string) (*Memory, error) {
	if path == "" {
		return nil, errors.New("nat: OpenMemory: the path is empty: want that of a file")
	}
	m := &Memory{path: path}
	_, err := m.read()
	return m, err
}

// stored is the file.
type stored struct {
	Version  int            `json:"version"`
	Networks []storedRecord `json:"networks"`
}

// storedRecord is a Record in the file. Times are in milliseconds.
type storedRecord struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Server    string    `json:"server,omitempty"`
	Held      int64     `json:"held_ms,omitempty"`
	Forgotten int64     `json:"forgotten_ms,omitempty"`
	How       Outcome   `json:"how"`
	At        time.Time `json:"at"`
	Losses    int       `json:"losses,omitempty"`
	LostAt    time.Time `json:"lost_at,omitzero"`
}

func (r storedRecord) valid() bool {
	const most = int64(MaxSleep / time.Millisecond)
	return r.ID != "" && !r.At.IsZero() && r.Held >= 0 && r.Held <= most && r.Forgotten >= 0 && r.Forgotten <= most &&
		(r.Forgotten == 0 || r.Held < r.Forgotten) && r.Losses >= 0
}

func (r storedRecord) record() Record {
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	return Record{
		Network: Network{ID: r.ID, Name: r.Name}, Server: r.Server, Held: ms(r.Held), Forgotten: ms(r.Forgotten), How: r.How,
		At: r.At, Losses: r.Losses, LostAt: r.LostAt,
	}
}

func (r Record) stored() storedRecord {
	return storedRecord{
		ID: r.Network.ID, Name: r.Network.Name, Server: r.Server, Held: r.Held.Milliseconds(), Forgotten: ceilMillis(r.Forgotten),
		How: r.How, At: r.At.UTC(), Losses: r.Losses, LostAt: r.LostAt.UTC(),
	}
}

// ceilMillis rounds up, so that what held less than a millisecond below is shorter still.
func ceilMillis(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// read returns what the file has; a file that is not there has nothing.
func (m *Memory) read() ([]storedRecord, error) {
	info, err := os.Stat(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("nat: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%w: %s has %d bytes, want at most %d: it is ignored, and replaced", ErrDamaged, m.path, info.Size(), maxFile)
	}
	b, err := os.ReadFile(m.path)
	if err != nil {
		return nil, fmt.Errorf("nat: %w", err)
	}
	list, err := parseMemory(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w: it is ignored, and replaced", ErrDamaged, m.path, err)
	}
	return list, nil
}

func parseMemory(b []byte) ([]storedRecord, error) {
	var file stored
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, err
	}
	if file.Version != memoryVersion {
		return nil, fmt.Errorf("version %d, want %d", file.Version, memoryVersion)
	}
	for i, r := range file.Networks {
		if !r.valid() {
			return nil, fmt.Errorf("the record %d is out of range", i)
		}
	}
	return file.Networks, nil
}

// Load returns what is known of a network and a server, and whether anything is. What is older than
// 90 days at now is forgotten.
func (m *Memory) Load(n Network, server string, now time.Time) (Record, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list, _ := m.read() // of a damaged one nothing is known, which OpenMemory said
	for _, r := range kept(list, now) {
		if r.ID == n.ID && r.Server == server {
			return r.record(), true
		}
	}
	return Record{}, false
}

// Save keeps a record in the place of the one before about the same network and server. At most 64
// are kept, the latest.
func (m *Memory) Save(r Record, now time.Time) error {
	s := r.stored()
	if !s.valid() {
		return fmt.Errorf("nat: Save: network %q, held %v, forgotten %v, at %v: want an ID, held below forgotten, up to %v, and a time",
			r.Network.ID, r.Held, r.Forgotten, r.At, MaxSleep)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list, err := m.read()
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	list = slices.DeleteFunc(list, func(o storedRecord) bool { return o.ID == s.ID && o.Server == s.Server })
	return m.write(kept(append(list, s), now))
}

// kept are the records that are not too old, the latest first. Those of the future, where the clock
// was set back, come last: they would otherwise be the latest for ever.
func kept(list []storedRecord, now time.Time) []storedRecord {
	list = slices.DeleteFunc(list, func(r storedRecord) bool { return now.Sub(r.At) > maxAge })
	slices.SortStableFunc(list, func(a, b storedRecord) int {
		if fa, fb := a.At.After(now), b.At.After(now); fa != fb {
			if fa {
				return 1
			}
			return -1
		}
		return cmp.Compare(b.At.UnixNano(), a.At.UnixNano())
	})
	return list[:min(len(list), maxRecords)]
}

// write replaces the file at once: who reads it finds the one before or this one, also after a
// crash.
func (m *Memory) write(list []storedRecord) (err error) {
	b, err := json.MarshalIndent(stored{memoryVersion, list}, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(m.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("nat: %w", err)
	}
	f, err := os.CreateTemp(dir, filepath.Base(m.path)+".*") // for its owner alone
	if err != nil {
		return fmt.Errorf("nat: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("nat: %w", err)
		}
	}()
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), m.path)
}
