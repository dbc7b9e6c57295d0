package metrics

import (
	"github.com/pulsering/pulsering/cluster"
)

// snapshot is a node at one moment.
type snapshot struct {
	running, isolated bool
	stats             cluster.Stats
	threshold         float64
	states            map[cluster.State]int
	wedged            int
	phi               map[string]float64 // by what the label says
	omitted           int
}

// look takes a snapshot, with φ of limit members at most.
func look(node source, limit int) *snapshot {
	s := &snapshot{
		running: node.Err() == nil, isolated: node.Isolated(), stats: node.Stats(),
		states: map[cluster.State]int{cluster.StateUp: 0, cluster.StateSuspect: 0, cluster.StateDown: 0, cluster.StateLeft: 0},
		phi:    map[string]float64{},
	}
	if e, ok := node.Explain(node.Self().Name); ok {
		s.threshold = e.Threshold
	}
	members := node.Members()
	for i := range members {
		m := &members[i]
		s.states[m.State]++
		if living(m) && m.Health == cluster.HealthWedged {
			s.wedged++
		}
	}
	for _, state := range []cluster.State{cluster.StateSuspect, cluster.StateUp} { // the first to be left out are those that are well
		for i := range members {
			if m := &members[i]; m.Observed && m.State == state {
				s.addPhi(m, limit)
			}
		}
	}
	return s
}

// living: of a member that is down or has left there is nothing to suspect any more, its φ only grows, and its health is old.
func living(m *cluster.Member) bool {
	return m.State == cluster.StateUp || m.State == cluster.StateSuspect
}

// addPhi leaves out, beside what is beyond the limit, a name that reads like another one once it is printable: one series twice would
// cost the whole scrape.
func (s *snapshot) addPhi(m *cluster.Member, limit int) {
	name := printable(m.Name)
	if _, twice := s.phi[name]; twice || len(s.phi) >= limit {
		s.omitted++
		return
	}
	s.phi[name] = m.Phi
}
